// Max and average pooling over windows, and adaptive average pooling to a fixed output size.
#pragma once

#include "tensor/ops/plan.h"

namespace ft {

// Windows as in conv2d, floor rounding. Padding never wins a maximum and is not counted in an average.
// The first maximum in row-major order takes the gradient (deterministic, also where windows overlap).
struct Pool2dSpec {
  enum class Kind { max, average };
  TensorSpec x;  // {N,C,H,W}
  Kind kind = Kind::max;
  int64_t r = 2, s = 2, stride_h = 2, stride_w = 2, pad_h = 0, pad_w = 0;
  PassSet passes;

  Shape y_shape() const;
};
// Throws Error 2402.
void check_spec(const Pool2dSpec& spec, const std::string& node);

// y[p,q] is the mean over rows floor(p*H/P) .. ceil((p+1)*H/P)-1 and the same for columns, as PyTorch's
// AdaptiveAvgPool2d. P may be larger than H.
struct AdaptiveAvgPool2dSpec {
  TensorSpec x;  // {N,C,H,W}
  int64_t p = 1, q = 1;
  PassSet passes;

  Shape y_shape() const { return {x.shape.n(), x.shape.c(), p, q}; }
};

// Both kinds of pooling have the same interface.
class Pool2dPlan : public Plan {
 public:
  virtual const TensorSpec& y_spec() const = 0;
  // Bytes that forward writes and backward reads (indices of the maxima); 0 without a backward pass.
  virtual size_t aux_bytes() const { return 0; }
  virtual void forward(StreamRef s, const Tensor& x, const Tensor& y, const Tensor& aux,
                       const Tensor& workspace) = 0;
  // dy {N,C,P,Q} -> dx {N,C,H,W}; overwritten.
  virtual void backward_data(StreamRef s, const Tensor& dy, const Tensor& aux, const Tensor& dx,
                             const Tensor& workspace) = 0;
};

}  // namespace ft
