// Matrix product with a weight matrix: the fully connected layer.
#pragma once

#include "tensor/ops/plan.h"

namespace ft {

// y[n,o] = sum over i of w[o,i] * x[n,i] (+ b[o]) (then max(0, .)).
// x may be 4-D {N,C,H,W} in any layout: its sample is read in logical C,H,W order, so that flattening
// is a view and packing the weight absorbs the order.
struct MatmulSpec {
  TensorSpec x;  // {N,I} or {N,C,H,W} with C*H*W = I
  int64_t out = 0;
  bool bias = false;
  bool relu = false;           // epilogue; forward only
  DType y_dtype = DType::f32;  // f64 where x is f64
  PassSet passes;
  NumericsPolicy numerics;

  int64_t in() const { return x.shape.per_sample(); }
  Shape y_shape() const { return {x.shape.n(), out}; }
  Shape weight_shape() const { return {out, in()}; }
  double flops() const {
    return 2.0 * static_cast<double>(x.shape.n()) * static_cast<double>(in() * out);
  }
};

class MatmulPlan : public Plan {
 public:
  virtual const TensorSpec& y_spec() const = 0;
  // x {N,I}, weights.w {O,I}, weights.b {O} -> y {N,O}.
  virtual void forward(StreamRef s, const Tensor& x, const Weights& weights, const Tensor& y,
                       const Tensor& workspace) = 0;
  // dy {N,O}, w -> dx {N,I} in the spec of x; overwritten.
  virtual void backward_data(StreamRef s, const Tensor& dy, const Weights& weights,
                             const Tensor& dx, const Tensor& workspace) = 0;
  // x, dy -> dw {O,I}, db {O}; an empty one is not wanted, the others are overwritten.
  virtual void backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                const Tensor& db, const Tensor& workspace) = 0;
};

}  // namespace ft
