// Local response normalisation across channels (Krizhevsky et al. 2012, section 3.3).
#pragma once

#include "tensor/ops/plan.h"

namespace ft {

// y[c] = x[c] * (k + alpha / size * sum of x[j]^2 over the window of `size` channels around c)^-beta.
// Alpha is divided by the window, as Caffe, cuDNN and PyTorch do; the window is cut at the borders.
struct LrnSpec {
  TensorSpec x;      // {N,C,H,W}
  int64_t size = 5;  // odd
  double alpha = 1e-4, beta = 0.75, k = 1;
  PassSet passes;
};

class LrnPlan : public Plan {
 public:
  virtual const TensorSpec& y_spec() const = 0;
  virtual size_t aux_bytes() const { return 0; }
  virtual void forward(StreamRef s, const Tensor& x, const Tensor& y, const Tensor& aux,
                       const Tensor& workspace) = 0;
  // Reads x and aux (not y): dy -> dx; overwritten.
  virtual void backward_data(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& aux,
                             const Tensor& dx, const Tensor& workspace) = 0;
};

}  // namespace ft
