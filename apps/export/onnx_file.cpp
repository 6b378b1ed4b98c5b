// From the nodes of a graph to those of ONNX.
#include "apps/export/onnx_file.h"

#include <vector>

#include "apps/export/protobuf_message.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/lrn.h"
#include "layers/pool2d.h"
#include "tensor/error.h"

namespace ft::exporting {
namespace {

// Numbers of onnx.proto: MESSAGE_field.
enum Field : int {
  kModelIrVersion = 1,
  kModelProducer = 2,
  kModelProducerVersion = 3,
  kModelGraph = 7,
  kModelOpset = 8,
  kModelMetadata = 14,
  kOpsetVersion = 2,
  kEntryKey = 1,
  kEntryValue = 2,
  kGraphNode = 1,
  kGraphName = 2,
  kGraphInitializer = 5,
  kGraphInput = 11,
  kGraphOutput = 12,
  kNodeInput = 1,
  kNodeOutput = 2,
  kNodeName = 3,
  kNodeOp = 4,
  kNodeAttribute = 5,
  kAttributeName = 1,
  kAttributeReal = 2,
  kAttributeInteger = 3,
  kAttributeIntegers = 8,
  kAttributeType = 20,
  kTensorDim = 1,
  kTensorType = 2,
  kTensorName = 8,
  kTensorRaw = 9,
  kValueName = 1,
  kValueType = 2,
  kTypeTensor = 1,
  kTypeElement = 1,
  kTypeShape = 2,
  kShapeDim = 1,
  kDimValue = 1,
  kDimName = 2,
};
constexpr int64_t kFloat = 1;                              // TensorProto.DataType
constexpr int64_t kReal = 1, kInteger = 2, kIntegers = 7;  // AttributeProto.AttributeType

// A node of ONNX in the making.
class OnnxNode {
 public:
  OnnxNode(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
           const std::string& output) {
    for (const std::string& input : inputs) node_.text(kNodeInput, input);
    node_.text(kNodeOutput, output);
    node_.text(kNodeName, name);
    node_.text(kNodeOp, op);
  }

  OnnxNode& real(const char* name, double value) {
    ProtobufMessage a = attribute(name, kReal);
    a.real(kAttributeReal, static_cast<float>(value));
    return add(std::move(a));
  }
  OnnxNode& integer(const char* name, int64_t value) {
    ProtobufMessage a = attribute(name, kInteger);
    a.number(kAttributeInteger, value);
    return add(std::move(a));
  }
  OnnxNode& integers(const char* name, const std::vector<int64_t>& values) {
    ProtobufMessage a = attribute(name, kIntegers);
    for (int64_t v : values) a.number(kAttributeIntegers, v);
    return add(std::move(a));
  }
  // What convolutions and pools share.
  OnnxNode& window(int64_t side, int64_t stride, int64_t pad) {
    return integers("kernel_shape", {side, side})
        .integers("strides", {stride, stride})
        .integers("pads", {pad, pad, pad, pad});
  }
  ProtobufMessage take() { return std::move(node_); }

 private:
  static ProtobufMessage attribute(const char* name, int64_t type) {
    ProtobufMessage a;
    a.text(kAttributeName, name);
    a.number(kAttributeType, type);
    return a;
  }
  OnnxNode& add(ProtobufMessage attribute) {
    node_.message(kNodeAttribute, std::move(attribute));
    return *this;
  }

  ProtobufMessage node_;
};

// Without its numbers.
ProtobufMessage tensor(const std::string& name, const std::vector<int64_t>& shape) {
  ProtobufMessage t;
  for (int64_t side : shape) t.number(kTensorDim, side);
  t.number(kTensorType, kFloat);
  t.text(kTensorName, name);
  return t;
}

// {N, sides...}.
ProtobufMessage value_info(const std::string& name, const std::vector<int64_t>& sides) {
  ProtobufMessage shape, batch;
  batch.text(kDimName, "N");
  shape.message(kShapeDim, std::move(batch));
  for (int64_t side : sides) {
    ProtobufMessage dim;
    dim.number(kDimValue, side);
    shape.message(kShapeDim, std::move(dim));
  }
  ProtobufMessage type, holder, value;
  type.number(kTypeElement, kFloat);
  type.message(kTypeShape, std::move(shape));
  holder.message(kTypeTensor, std::move(type));
  value.text(kValueName, name);
  value.message(kValueType, std::move(holder));
  return value;
}

class OnnxGraph {
 public:
  OnnxGraph(const Model& model, const WeightFile& weights) : model_(model), weights_(weights) {}

  ProtobufMessage run() {
    names_.resize(graph().values().size());
    names_[static_cast<size_t>(model_.image)] = kOnnxInput;
    out_.text(kGraphName, model_.name);
    for (const Node& node : graph().nodes()) {
      if (node.output > model_.logits) break;  // the loss
      name_of(node.output) = node.output == model_.logits ? kOnnxOutput : node.name;
      add(node);
    }
    const Shape& image = graph().values()[static_cast<size_t>(model_.image)].shape;
    out_.message(kGraphInput, value_info(kOnnxInput, {image.c(), image.h(), image.w()}));
    out_.message(kGraphOutput, value_info(kOnnxOutput, {model_.classes}));
    return std::move(out_);
  }

 private:
  const Graph& graph() const { return model_.graph; }
  std::string& name_of(ValueId v) { return names_[static_cast<size_t>(v)]; }
  const Shape& input_shape(const Node& node) const {
    return graph().values()[static_cast<size_t>(node.inputs[0])].shape;
  }

  // A node with the inputs and parameters of ours.
  OnnxNode same(const char* op, const Node& node) {
    std::vector<std::string> inputs;
    for (ValueId v : node.inputs) inputs.push_back(name_of(v));
    for (int i = 0; i < node.parameter_count; ++i) {
      const Parameter& p = graph().parameters()[static_cast<size_t>(node.first_parameter + i)];
      const NamedTensor* t = weights_.find(p.name);
      FT_CHECK(t != nullptr, p.name + " is missing");
      ProtobufMessage initializer = tensor(t->name, t->shape);
      initializer.borrow(kTensorRaw, std::as_bytes(std::span(t->data)));
      out_.message(kGraphInitializer, std::move(initializer));
      inputs.push_back(p.name);
    }
    return {op, node.name, inputs, name_of(node.output)};
  }
  void put(OnnxNode& node) { out_.message(kGraphNode, node.take()); }
  void put(OnnxNode&& node) { put(node); }

  void add(const Node& node) {
    const std::string_view kind = node.layer->kind();
    if (kind == "conv2d") return add_conv(node, static_cast<const Conv2d&>(*node.layer).config());
    if (kind == "linear") return put(same("Gemm", node).integer("transB", 1));
    if (kind == "batchnorm2d") {
      const double epsilon = static_cast<const BatchNorm2d&>(*node.layer).epsilon();
      return put(same("BatchNormalization", node).real("epsilon", epsilon));
    }
    if (kind == "relu") return put(same("Relu", node));
    if (kind == "add") return put(same("Add", node));
    if (kind == "flatten") return put(same("Flatten", node).integer("axis", 1));
    if (kind == "lrn") return add_lrn(node, static_cast<const Lrn&>(*node.layer));
    if (kind == "max_pool2d") return add_pool(node, static_cast<const Pool2d&>(*node.layer));
    if (kind == "adaptive_avg_pool2d") return add_adaptive_pool(node);
    FT_CHECK(kind == "dropout", "ONNX export of a layer of kind " + std::string(kind));
    name_of(node.output) = name_of(node.inputs[0]);
  }

  void add_conv(const Node& node, const Conv2dConfig& c) {
    put(same("Conv", node).window(c.kernel, c.stride, c.pad).integer("group", c.groups));
  }
  // ONNX divides alpha by the window, too.
  void add_lrn(const Node& node, const Lrn& lrn) {
    const LrnSpec s = lrn.spec({input_shape(node)});
    put(same("LRN", node)
            .integer("size", s.size)
            .real("alpha", s.alpha)
            .real("beta", s.beta)
            .real("bias", s.k));
  }
  void add_pool(const Node& node, const Pool2d& pool) {
    const Pool2dSpec s = pool.spec({input_shape(node)});
    put(same("MaxPool", node).window(s.r, s.stride_h, s.pad_h));
  }

  // ONNX has no adaptive pooling. Windows are rectangles, so that it is a product with a matrix of means from either
  // side: y = A x B. Of one output: its own operator; of as many as inputs: nothing.
  void add_adaptive_pool(const Node& node) {
    const Shape& x = input_shape(node);
    const Shape& y = graph().values()[static_cast<size_t>(node.output)].shape;
    if (x == y) {
      name_of(node.output) = name_of(node.inputs[0]);
      return;
    }
    if (y.h() == 1 && y.w() == 1) return put(same("GlobalAveragePool", node));
    const std::string rows = node.name + ".rows", columns = node.name + ".columns";
    const std::string between = node.name + ".between";
    means(rows, x.h(), y.h(), false);
    means(columns, x.w(), y.w(), true);
    put(OnnxNode("MatMul", rows, {rows, name_of(node.inputs[0])}, between));
    put(OnnxNode("MatMul", columns, {between, columns}, name_of(node.output)));
  }

  // {to, from}, or its transpose: row i has 1/length where window i lies.
  void means(const std::string& name, int64_t from, int64_t to, bool transposed) {
    std::vector<float> m(static_cast<size_t>(from * to), 0.0f);
    for (int64_t i = 0; i < to; ++i) {
      const int64_t begin = i * from / to, end = ((i + 1) * from + to - 1) / to;
      for (int64_t k = begin; k < end; ++k)
        m[static_cast<size_t>(transposed ? k * to + i : i * from + k)] =
            1.0f / static_cast<float>(end - begin);
    }
    ProtobufMessage initializer =
        tensor(name, transposed ? std::vector<int64_t>{from, to} : std::vector<int64_t>{to, from});
    initializer.text(kTensorRaw,
                     {reinterpret_cast<const char*>(m.data()), m.size() * sizeof(float)});
    out_.message(kGraphInitializer, std::move(initializer));
  }

  const Model& model_;
  const WeightFile& weights_;
  std::vector<std::string> names_;  // of values
  ProtobufMessage out_;
};

}  // namespace

BytePieces onnx_file(const Model& model, const WeightFile& weights,
                     const std::map<std::string, std::string>& metadata) {
  ProtobufMessage file, opset;
  file.number(kModelIrVersion, kOnnxIrVersion);
  file.text(kModelProducer, "ftrun");
  file.text(kModelProducerVersion, FT_VERSION);
  file.message(kModelGraph, OnnxGraph(model, weights).run());
  opset.number(kOpsetVersion, kOnnxOpset);
  file.message(kModelOpset, std::move(opset));
  for (const auto& [key, value] : metadata) {
    ProtobufMessage entry;
    entry.text(kEntryKey, key);
    entry.text(kEntryValue, value);
    file.message(kModelMetadata, std::move(entry));
  }
  FT_CHECK(file.size() <= kMostOnnxBytes, "an ONNX file of 2 GiB or more");
  return file.take();
}

}  // namespace ft::exporting
