// Operation graphs of cuDNN.
#include "tensor/cuda/cudnn_graph.h"

#include "tensor/error.h"

namespace ft::cuda {
namespace {

cudnnDataType_t cudnn_type(DType type) {
  switch (type) {
    case DType::f32:
      return CUDNN_DATA_FLOAT;
    case DType::bf16:
      return CUDNN_DATA_BFLOAT16;
    case DType::f16:
      return CUDNN_DATA_HALF;
    default:
      FT_CHECK(false, "cuDNN graphs take f32, bf16 and f16");
  }
}

struct Attributes {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};

constexpr Attributes kAttributes[] = {  // by pass
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
    {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
     CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA}};

}  // namespace

// Stored tensors have the ids 1, 2, … in the order in which they are added; execute() counts on it.
GraphBuilder::Id GraphBuilder::tensor(const Dims& dims, cudnnDataType_t type, bool is_virtual) {
  const int64_t id = is_virtual ? --last_inner_id_ : ++last_stored_id_;
  const auto [n, c, h, w] = dims;
  const Dims nhwc_strides{h * w * c, 1, w * c, c};
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_DATA_TYPE, type);
  t.set(CUDNN_ATTR_TENSOR_DIMENSIONS, std::span<const int64_t>(dims));
  t.set(CUDNN_ATTR_TENSOR_STRIDES, std::span<const int64_t>(nhwc_strides));
  t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
  t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, int64_t{16});
  t.set(CUDNN_ATTR_TENSOR_IS_VIRTUAL, is_virtual);
  t.finalize("tensor");
  tensors_.push_back(std::move(t));
  return tensors_.size() - 1;
}

GraphBuilder::Id GraphBuilder::stored(const Dims& dims, DType type) {
  stored_bytes_.push_back(static_cast<size_t>(dims[0] * dims[1] * dims[2] * dims[3]) *
                          size_of(type));
  return tensor(dims, cudnn_type(type), false);
}

GraphBuilder::Id GraphBuilder::inner(const Dims& dims) {
  return tensor(dims, CUDNN_DATA_FLOAT, true);
}

void GraphBuilder::convolution(PassKind pass, Id x, Id w, Id y,
                               const ConvolutionGeometry& geometry) {
  Descriptor c(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  constexpr int64_t kNoDilation[] = {1, 1};
  c.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
  c.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_CROSS_CORRELATION);
  c.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, int64_t{2});
  c.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, std::span<const int64_t>(kNoDilation));
  c.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, std::span<const int64_t>(geometry.stride));
  c.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, std::span<const int64_t>(geometry.pad));
  c.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, std::span<const int64_t>(geometry.pad));
  c.finalize("convolution");

  const Attributes& a = kAttributes[static_cast<size_t>(pass)];
  Descriptor op(a.type);
  op.set(a.x, tensors_[x]);
  op.set(a.w, tensors_[w]);
  op.set(a.y, tensors_[y]);
  op.set(a.convolution, c);
  op.set(a.alpha, 1.0f);
  op.set(a.beta, 0.0f);
  op.finalize("convolution operation");
  operations_.push_back(std::move(op));
}

void GraphBuilder::pointwise(cudnnPointwiseMode_t mode, Id x, const Id* b, Id y) {
  Descriptor p(CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
  p.set(CUDNN_ATTR_POINTWISE_MODE, mode);
  p.set(CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
  p.finalize("pointwise");
  Descriptor op(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, p);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, tensors_[x]);
  if (b != nullptr) op.set(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, tensors_[*b]);
  op.set(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, tensors_[y]);
  op.finalize("pointwise operation");
  operations_.push_back(std::move(op));
}

void GraphBuilder::add(Id a, Id b, Id y) { pointwise(CUDNN_POINTWISE_ADD, a, &b, y); }
void GraphBuilder::relu(Id x, Id y) { pointwise(CUDNN_POINTWISE_RELU_FWD, x, nullptr, y); }

Descriptor GraphBuilder::finish(const PlanTarget& target) const {
  Descriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  target.put_in_graph(graph);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, std::span<const Descriptor>(operations_));
  graph.finalize("operation graph");
  return graph;
}

}  // namespace ft::cuda
