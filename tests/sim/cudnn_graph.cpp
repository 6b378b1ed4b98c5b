// Reading and running operation graphs.
#include "tests/sim/cudnn_graph.h"

#include <algorithm>
#include <set>
#include <stdexcept>

#include "tests/sim/sanitizers.h"

namespace sim {
namespace {

using Ints = std::vector<int64_t>;

void require(bool right, const std::string& what) {
  if (!right) throw std::runtime_error(what);
}

Element element_of(cudnnDataType_t type) {
  require(type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_BFLOAT16 || type == CUDNN_DATA_HALF,
          "an element type that is not simulated");
  if (type == CUDNN_DATA_FLOAT) return Element::f32;
  return type == CUDNN_DATA_BFLOAT16 ? Element::bf16 : Element::f16;
}

// The attributes of the three operations under one name each.
struct Names {
  cudnnBackendAttributeName_t x, w, y, convolution, alpha, beta;
};

Names names_of(cudnnBackendDescriptorType_t op) {
  if (op == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR)
    return {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
  if (op == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
    return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
  return {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

Convolution geometry(const CudnnDescriptor& d, const GraphTensor& x, const GraphTensor& w,
                     const GraphTensor& y) {
  const Ints stride = d.ints(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES);
  const Ints before = d.ints(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS);
  require(d.one<int64_t>(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS) == 2 && stride.size() == 2 &&
              before.size() == 2,
          "not a 2-d convolution");
  require(d.ints(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS) == before, "paddings differ");
  require(d.ints(CUDNN_ATTR_CONVOLUTION_DILATIONS) == Ints({1, 1}), "dilation is not simulated");
  require(
      d.one<cudnnConvolutionMode_t>(CUDNN_ATTR_CONVOLUTION_CONV_MODE) == CUDNN_CROSS_CORRELATION &&
          d.one<cudnnDataType_t>(CUDNN_ATTR_CONVOLUTION_COMP_TYPE) == CUDNN_DATA_FLOAT,
      "not a cross-correlation that is computed in f32");
  const auto& [xd, wd, yd] = std::tie(x.dims, w.dims, y.dims);
  require(xd[0] == yd[0] && wd[0] == yd[1] && xd[1] % wd[1] == 0 && yd[1] % (xd[1] / wd[1]) == 0,
          "batch or channels do not fit");
  for (size_t i = 0; i < 2; ++i)
    require(before[i] >= 0 && stride[i] >= 1 &&
                yd[i + 2] == (xd[i + 2] + 2 * before[i] - wd[i + 2]) / stride[i] + 1,
            "the output size does not fit");
  return {xd[0],
          xd[1],
          xd[2],
          xd[3],
          wd[0],
          wd[2],
          wd[3],
          yd[2],
          yd[3],
          xd[1] / wd[1],
          {stride[0], stride[1]},
          {before[0], before[1]}};
}

}  // namespace

Graph::Graph(const CudnnDescriptor& graph) {
  for (const CudnnDescriptor* op : graph.all<CudnnDescriptor*>(CUDNN_ATTR_OPERATIONGRAPH_OPS))
    steps_.push_back(op->type() == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR
                         ? read_pointwise(*op)
                         : read_convolution(*op));
  check_order();
}

int64_t Graph::read_tensor(const CudnnDescriptor& t) {
  const Ints dims = t.ints(CUDNN_ATTR_TENSOR_DIMENSIONS);
  const Ints strides = t.ints(CUDNN_ATTR_TENSOR_STRIDES);
  require(dims.size() == 4 && std::ranges::all_of(dims, [](int64_t d) { return d > 0; }),
          "a tensor has four extents");
  const Ints wanted{dims[1] * dims[2] * dims[3], 1, dims[1] * dims[3], dims[1]};
  require(strides == wanted, "the strides are not those of dense NHWC");
  const auto id = t.one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID);
  GraphTensor read;
  std::ranges::copy(dims, read.dims.begin());
  read.type = element_of(t.one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE));
  read.alignment = t.one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT);
  read.is_virtual = t.one<char>(CUDNN_ATTR_TENSOR_IS_VIRTUAL) != 0;
  require(read.alignment > 0 && read.alignment % static_cast<int64_t>(bytes_of(read.type)) == 0,
          "an alignment that is no multiple of the element");
  require(!read.is_virtual || read.type == Element::f32, "an inner tensor that is not f32");
  const auto [at, fresh] = tensors_.try_emplace(id, read);
  require(fresh || (at->second.dims == read.dims && at->second.type == read.type &&
                    at->second.is_virtual == read.is_virtual),
          "two tensors have the same id");
  return id;
}

Graph::Step Graph::read_convolution(const CudnnDescriptor& op) {
  require(op.type() == CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR ||
              op.type() == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR ||
              op.type() == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          "an operation that is not simulated");
  const Names names = names_of(op.type());
  require(op.one<float>(names.alpha) == 1 && op.one<float>(names.beta) == 0, "alpha 1 and beta 0");
  const int64_t x = read_tensor(op.sub(names.x)), w = read_tensor(op.sub(names.w)),
                y = read_tensor(op.sub(names.y));
  const Convolution c = geometry(op.sub(names.convolution), tensors_[x], tensors_[w], tensors_[y]);
  Step step{Step::Kind::forward, x, w, y, c};
  if (op.type() == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR)
    step = {Step::Kind::backward_data, w, y, x, c};
  if (op.type() == CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR)
    step = {Step::Kind::backward_weights, x, y, w, c};
  require(tensors_[step.a].type == tensors_[step.b].type, "inputs of different types");
  require(tensors_[step.y].is_virtual || tensors_[step.y].type == tensors_[step.a].type,
          "cuDNN has no engine that writes another type than it reads");
  return step;
}

Graph::Step Graph::read_pointwise(const CudnnDescriptor& op) {
  const CudnnDescriptor& what = op.sub(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
  const auto mode = what.one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
  require(what.one<cudnnDataType_t>(CUDNN_ATTR_POINTWISE_MATH_PREC) == CUDNN_DATA_FLOAT,
          "a pointwise operation that is not computed in f32");
  require(mode == CUDNN_POINTWISE_ADD || mode == CUDNN_POINTWISE_RELU_FWD,
          "a pointwise operation that is not simulated");
  const bool add = mode == CUDNN_POINTWISE_ADD;
  require(op.has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC) == add, "one input too few or too many");
  const int64_t x = read_tensor(op.sub(CUDNN_ATTR_OPERATION_POINTWISE_XDESC)),
                y = read_tensor(op.sub(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
  const int64_t b = add ? read_tensor(op.sub(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)) : x;
  require(tensors_[x].dims == tensors_[y].dims, "a pointwise operation changes the extents");
  const auto& bd = tensors_[b].dims;
  const bool row = bd == std::array<int64_t, 4>{1, tensors_[y].dims[1], 1, 1};
  require(row || bd == tensors_[y].dims, "extents that cannot be added");
  return {add ? Step::Kind::add : Step::Kind::relu, x, b, y, {}};
}

// A convolution first; what is inner is made before it is read, what is read from memory is not made here.
void Graph::check_order() const {
  require(
      !steps_.empty() && steps_[0].kind != Step::Kind::add && steps_[0].kind != Step::Kind::relu,
      "a graph begins with a convolution");
  require(steps_[0].kind == Step::Kind::forward || steps_.size() == 1, "a gradient stands alone");
  std::set<int64_t> made;
  for (const Step& step : steps_) {
    for (int64_t in : {step.a, step.b})
      require(tensors_.at(in).is_virtual == made.contains(in),
              "an inner tensor is read before it is made, or an outer one after");
    require(made.insert(step.y).second, "a tensor is made twice");
    require(tensors_.at(step.y).is_virtual == (&step != &steps_.back()),
            "the last tensor alone lies in memory");
  }
}

bool Graph::is_bf16_or_f16() const { return tensors_.at(steps_[0].a).type != Element::f32; }

Values Graph::compute(const Step& step, const std::map<int64_t, Values>& values,
                      bool tensor_cores) const {
  Values a = values.at(step.a), b = values.at(step.b);
  const bool pointwise = step.kind == Step::Kind::add || step.kind == Step::Kind::relu;
  if (!pointwise && tensor_cores && !is_bf16_or_f16())
    for (Values* v : {&a, &b}) std::ranges::transform(*v, v->begin(), to_tf32);
  switch (step.kind) {
    case Step::Kind::forward:
      return convolution_forward(step.convolution, a, b);
    case Step::Kind::backward_data:
      return convolution_backward_data(step.convolution, a, b);
    case Step::Kind::backward_weights:
      return convolution_backward_weights(step.convolution, a, b);
    case Step::Kind::add:
      for (size_t i = 0; i < a.size(); ++i) a[i] += b[i % b.size()];  // channels are innermost
      return a;
    case Step::Kind::relu:
      for (double& v : a) v = v <= 0 ? 0 : v;
      return a;
  }
  return {};
}

void Graph::run(const std::map<int64_t, void*>& data, bool tensor_cores) const {
  std::map<int64_t, Values> values;
  const auto read = [&](int64_t id) {
    const GraphTensor& t = tensors_.at(id);
    if (t.is_virtual || values.contains(id)) return;
    tsan_read(data.at(id), t.bytes());
    Values& v = values[id];
    v.resize(static_cast<size_t>(t.elements()));
    for (size_t i = 0; i < v.size(); ++i) v[i] = load(t.type, data.at(id), static_cast<int64_t>(i));
  };
  for (const Step& step : steps_) {
    read(step.a);
    read(step.b);
    Values made = compute(step, values, tensor_cores);
    for (double& v : made) v = static_cast<float>(v);
    values[step.y] = std::move(made);
  }
  const GraphTensor& t = tensors_.at(output());
  const Values& v = values.at(output());
  tsan_write(data.at(output()), t.bytes());
  for (size_t i = 0; i < v.size(); ++i)
    store(t.type, data.at(output()), static_cast<int64_t>(i), v[i]);
}

}  // namespace sim
