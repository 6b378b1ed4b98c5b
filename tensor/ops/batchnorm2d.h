// Batch normalisation over N,H,W of each channel, with optional residual add and ReLU behind it.
#pragma once

#include "tensor/ops/plan.h"

namespace ft {

// Which statistics a batch-norm uses, and what it trains.
//   batch    statistics of the batch; running ones are updated; gamma and beta train
//   running  running statistics as constants; gamma and beta train
//   frozen   running statistics as constants; nothing trains
enum class BnMode : uint8_t { batch, running, frozen };

// y = gamma * (x - mean) / sqrt(variance + epsilon) + beta (+ residual) (then max(0, .)).
// Mode batch: variance is the biased one of the batch; running_new = (1 - momentum) * running_old
// + momentum * batch value, with the unbiased variance (PyTorch's and cuDNN's rule).
struct BatchNorm2dSpec {
  TensorSpec x;  // {N,C,H,W}
  double epsilon = 1e-5;
  double momentum = 0.1;
  BnMode mode = BnMode::batch;
  bool add_residual = false, relu = false;
  PassSet passes;  // backward_weights: gamma and beta
};

// The four parameter vectors, {C} each, in f32 (f64 on ref).
struct BatchNormParams {
  Tensor gamma, beta, running_mean, running_var;
};

struct BatchNormGradients {
  Tensor dx, dresidual, dgamma, dbeta;  // an empty one is not wanted; others are overwritten
};

class BatchNorm2dPlan : public Plan {
 public:
  virtual const TensorSpec& y_spec() const = 0;
  // Bytes that forward writes and backward reads (mean and 1/deviation, ReLU mask); 0 without backward.
  virtual size_t aux_bytes() const { return 0; }
  // In mode batch the running statistics are updated in place.
  virtual void forward(StreamRef s, const Tensor& x, const Tensor& residual,
                       const BatchNormParams& params, const Tensor& y, const Tensor& aux,
                       const Tensor& workspace) = 0;
  // Reads x (not y), dy, aux. In mode running and frozen the statistics are constants.
  // Source: Ioffe & Szegedy 2015, section 3 (gradient of the batch statistics included).
  virtual void backward(StreamRef s, const Tensor& x, const Tensor& dy,
                        const BatchNormParams& params, const Tensor& aux,
                        const BatchNormGradients& gradients, const Tensor& workspace) = 0;
};

}  // namespace ft
