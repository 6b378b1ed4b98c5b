// Operation graphs of cuDNN, built op by op, then turned into an execution plan. Activations are NHWC: dimensions are
// given as N,C,H,W (K,C/G,R,S for weights), strides put C last.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "tensor/cuda/cudnn_plan.h"
#include "tensor/dtype.h"

namespace ft::cuda {

struct ConvolutionGeometry {
  std::array<int64_t, 2> stride, pad;
};

// An operation graph under construction.
class GraphBuilder {
 public:
  using Dims = std::array<int64_t, 4>;
  using Id = size_t;  // a tensor of this graph

  // A tensor in memory: execute() takes its pointer.
  Id stored(const Dims& dims, DType type);
  // A tensor that lives only between two fused ops, in f32.
  Id inner(const Dims& dims);
  // forward: x, w -> y. backward_data: w, y as dy -> x as dx. backward_weights: x, y as dy -> w as dw.
  void convolution(PassKind pass, Id x, Id w, Id y, const ConvolutionGeometry& geometry);
  void add(Id a, Id b, Id y);  // y = a + b; b may be {1,C,1,1}
  void relu(Id x, Id y);

  // The graph, finalized, for choose_plan(); used while this lives.
  Descriptor finish(const PlanTarget& target) const;
  const std::vector<size_t>& stored_bytes() const { return stored_bytes_; }

 private:
  Id tensor(const Dims& dims, cudnnDataType_t type, bool is_virtual);
  void pointwise(cudnnPointwiseMode_t mode, Id x, const Id* b, Id y);

  std::vector<Descriptor> tensors_, operations_;
  std::vector<size_t> stored_bytes_;
  int64_t last_stored_id_ = 0, last_inner_id_ = 0;  // inner ones count downwards
};

}  // namespace ft::cuda
