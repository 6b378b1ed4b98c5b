// 2-D convolution (cross-correlation), with bias and, for inference, fused residual add and ReLU.
#pragma once

#include <memory>

#include "tensor/ops/plan.h"

namespace ft {

// y[n,k,p,q] = sum over c,r,s of w[k,c,r,s] * x[n, g*C/G + c, p*stride_h - pad_h + r, q*stride_w - pad_w + s]
// with g the group of k, then, as asked: + residual[n,k,p,q], + b[k], max(0, .), in this order.
struct Conv2dSpec {
  TensorSpec x;  // {N,C,H,W}
  int64_t k = 0, r = 1, s = 1;
  int64_t stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  int64_t groups = 1;
  bool bias = false;
  bool add_residual = false, relu = false;  // epilogue; forward only
  PassSet passes;
  NumericsPolicy numerics;

  Shape y_shape() const;       // {N,K,P,Q}, P = floor((H + 2 pad_h - R) / stride_h) + 1
  Shape weight_shape() const;  // {K,C/G,R,S}
  // 2 * multiply-adds of one pass, border taps counted; all passes cost the same.
  double flops() const;
};

// Throws Error 2401 if an extent, a stride or the groups do not fit; `node` names the culprit.
void check_spec(const Conv2dSpec& spec, const std::string& node);

class Conv2dPlan : public Plan {
 public:
  virtual const TensorSpec& y_spec() const = 0;
  // x {N,C,H,W}, weights.w {K,C/G,R,S}, weights.b {K}, residual {N,K,P,Q} or empty -> y {N,K,P,Q}.
  virtual void forward(StreamRef s, const Tensor& x, const Weights& weights, const Tensor& residual,
                       const Tensor& y, const Tensor& workspace) = 0;
  // dy {N,K,P,Q}, w -> dx {N,C,H,W}; dx is overwritten.
  // Source: Dumoulin & Visin 2016, section 4 (transposed convolution).
  virtual void backward_data(StreamRef s, const Tensor& dy, const Weights& weights,
                             const Tensor& dx, const Tensor& workspace) = 0;
  // x, dy -> dw {K,C/G,R,S}, db {K}; an empty one is not wanted, the others are overwritten.
  virtual void backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                const Tensor& db, const Tensor& workspace) = 0;
};

}  // namespace ft
