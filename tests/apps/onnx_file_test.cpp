// ONNX models are decoded again, by the wire format alone, and say what the network is: operators, attributes, shapes.
// What onnxruntime computes from them is asked by scripts/export_live.py.
#include "apps/export/onnx_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>

#include "apps/export/protobuf_message.h"

namespace ft::test {
namespace {

using exporting::ProtobufMessage;

struct Field {
  uint64_t number = 0, value = 0;
  std::string_view bytes;  // of a text or message
};

uint64_t varint(std::string_view& in) {
  uint64_t value = 0;
  for (int shift = 0;; shift += 7) {
    const auto byte = static_cast<uint8_t>(in.at(0));
    in.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return value;
  }
}

std::vector<Field> fields(std::string_view in) {
  std::vector<Field> out;
  while (!in.empty()) {
    const uint64_t head = varint(in);
    Field& f = out.emplace_back();
    f.number = head >> 3;
    if ((head & 7) == 0) {
      f.value = varint(in);
    } else if ((head & 7) == 5) {
      std::memcpy(&f.value, in.data(), 4);
      in.remove_prefix(4);
    } else {
      EXPECT_EQ(head & 7, 2u);
      const uint64_t length = varint(in);
      f.bytes = in.substr(0, length);
      in.remove_prefix(length);
    }
  }
  return out;
}

std::vector<std::string_view> all(std::string_view message, uint64_t number) {
  std::vector<std::string_view> out;
  for (const Field& f : fields(message))
    if (f.number == number) out.push_back(f.bytes);
  return out;
}
std::string text(std::string_view message, uint64_t number) {
  const auto found = all(message, number);
  return found.empty() ? "" : std::string(found[0]);
}
std::vector<int64_t> numbers(std::string_view message, uint64_t number) {
  std::vector<int64_t> out;
  for (const Field& f : fields(message))
    if (f.number == number) out.push_back(static_cast<int64_t>(f.value));
  return out;
}
std::vector<std::string> texts(std::string_view message, uint64_t number) {
  const auto found = all(message, number);
  return {found.begin(), found.end()};
}

// A node with its attributes, ready to be compared.
struct DecodedNode {
  std::string op;
  std::vector<std::string> inputs, outputs;
  std::map<std::string, std::vector<int64_t>> integers;
  std::map<std::string, float> reals;
};

struct Decoded {
  std::string bytes, graph;
  std::map<std::string, DecodedNode> nodes;
  std::map<std::string, std::string> initializers;  // name -> TensorProto

  Decoded(const Model& model, const WeightFile& weights) {
    bytes = exporting::onnx_file(model, weights, {{"key", "value"}}).join().text();
    graph = text(bytes, 7);
    for (std::string_view node : all(graph, 1)) decode(node);
    for (std::string_view t : all(graph, 5)) initializers[text(t, 8)] = t;
  }

  void decode(std::string_view node) {
    DecodedNode& out = nodes[text(node, 3)];
    out.op = text(node, 4);
    out.inputs = texts(node, 1);
    out.outputs = texts(node, 2);
    for (std::string_view a : all(node, 5)) {
      const std::string name = text(a, 1);
      const int64_t type = numbers(a, 20).at(0);
      if (type == 1) {
        const auto bits = static_cast<uint32_t>(numbers(a, 2).at(0));
        std::memcpy(&out.reals[name], &bits, sizeof bits);
      } else {
        out.integers[name] = numbers(a, type == 2 ? 3 : 8);
      }
    }
  }
};

Model model_of(const std::string& name, int64_t classes, int side) {
  return build_model(find_model(name), classes, side, side);
}

// Shapes alone: the writer borrows whatever numbers there are.
WeightFile empty_weights(const Model& model) {
  WeightFile weights;
  for (const Parameter& p : model.graph.parameters())
    weights.tensors.push_back({p.name, {p.shape.dims().begin(), p.shape.dims().end()}, {}});
  return weights;
}

Decoded decoded(const std::string& name, int64_t classes, int side) {
  const Model model = model_of(name, classes, side);
  return {model, empty_weights(model)};
}

TEST(Protobuf, fields_are_those_of_the_wire_format) {
  // The examples of protobuf.dev, Encoding.
  ProtobufMessage inner, outer, more;
  inner.number(1, 150);
  outer.message(3, std::move(inner));
  EXPECT_EQ(outer.take().join().text(), "\x1a\x03\x08\x96\x01");
  more.text(2, "testing");
  more.number(20, -1);
  more.real(2, 1.0f);
  const std::string expected = std::string("\x12\x07testing") + "\xa0\x01" +
                               std::string(9, '\xff') + "\x01" +
                               std::string("\x15\x00\x00\x80\x3f", 5);
  EXPECT_EQ(more.take().join().text(), expected);
}

TEST(Onnx, every_network_has_its_parameters_and_one_input_and_output) {
  for (const ModelInfo& info : all_models()) {
    const Model model = build_model(info, 5, info.recipe.input_size, info.recipe.input_size);
    const Decoded d(model, empty_weights(model));
    EXPECT_EQ(numbers(d.bytes, 1), std::vector<int64_t>{8}) << info.name;
    EXPECT_EQ(numbers(text(d.bytes, 8), 2), std::vector<int64_t>{17}) << info.name;
    EXPECT_EQ(text(text(d.bytes, 14), 1) + text(text(d.bytes, 14), 2), "keyvalue");
    EXPECT_EQ(d.initializers.size(), model.graph.parameters().size()) << info.name;
    for (const Parameter& p : model.graph.parameters()) {
      const std::vector<int64_t> sides(p.shape.dims().begin(), p.shape.dims().end());
      EXPECT_EQ(numbers(d.initializers.at(p.name), 1), sides) << p.name;
    }
    ASSERT_EQ(all(d.graph, 11).size(), 1u);
    EXPECT_EQ(text(all(d.graph, 11)[0], 1), "input");
    EXPECT_EQ(text(all(d.graph, 12).at(0), 1), "logits");
    const std::string type = text(text(text(all(d.graph, 11)[0], 2), 1), 2);  // TensorShapeProto
    const auto dims = all(type, 1);
    ASSERT_EQ(dims.size(), 4u);
    EXPECT_EQ(text(dims[0], 2), "N");
    EXPECT_EQ(numbers(dims[3], 1), std::vector<int64_t>{info.recipe.input_size});
  }
}

TEST(Onnx, every_input_of_a_node_is_made_before_it) {
  for (const ModelInfo& info : all_models()) {
    const Decoded d = decoded(info.name, 2, info.fixed_map ? 227 : 96);
    std::vector<std::string> known = {"input"};
    for (const auto& [name, tensor] : d.initializers) known.push_back(name);
    for (std::string_view node : all(d.graph, 1)) {
      for (const std::string& input : texts(node, 1))
        EXPECT_NE(std::ranges::find(known, input), known.end()) << info.name << ": " << input;
      known.push_back(text(node, 2));
    }
    EXPECT_EQ(known.back(), "logits");
  }
}

TEST(Onnx, convolutions_pools_and_lrn_say_their_windows) {
  const Decoded d = decoded("alexnet", 2, 227);
  const DecodedNode& conv2 = d.nodes.at("conv2");
  EXPECT_EQ(conv2.op, "Conv");
  EXPECT_EQ(conv2.inputs, (std::vector<std::string>{"pool1", "conv2.weight", "conv2.bias"}));
  EXPECT_EQ(conv2.integers.at("group"), std::vector<int64_t>{2});
  EXPECT_EQ(conv2.integers.at("pads"), (std::vector<int64_t>{2, 2, 2, 2}));
  EXPECT_EQ(d.nodes.at("conv1").integers.at("strides"), (std::vector<int64_t>{4, 4}));
  EXPECT_EQ(d.nodes.at("conv1").integers.at("kernel_shape"), (std::vector<int64_t>{11, 11}));
  const DecodedNode& norm = d.nodes.at("norm1");
  EXPECT_EQ(norm.op, "LRN");
  EXPECT_EQ(norm.integers.at("size"), std::vector<int64_t>{5});
  EXPECT_EQ(norm.reals.at("alpha"), 1e-4f);
  EXPECT_EQ(norm.reals.at("beta"), 0.75f);
  EXPECT_EQ(norm.reals.at("bias"), 1.0f);
  EXPECT_EQ(d.nodes.at("pool1").integers.at("strides"), (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(d.nodes.at("pool1").integers.at("kernel_shape"), (std::vector<int64_t>{3, 3}));
  EXPECT_EQ(d.nodes.at("fc7").inputs[0], "relu6") << "dropout is left out";
  EXPECT_EQ(d.nodes.at("fc7").integers.at("transB"), std::vector<int64_t>{1});
}

TEST(Onnx, the_variants_of_a_resnet_differ_in_strides_and_epsilon) {
  const Decoded old = decoded("resnet50-v1", 2, 64), now = decoded("resnet50", 2, 64);
  const std::vector<int64_t> one = {1, 1}, two = {2, 2};
  EXPECT_EQ(now.nodes.at("layer2.0.conv1").integers.at("strides"), one);
  EXPECT_EQ(now.nodes.at("layer2.0.conv2").integers.at("strides"), two);
  EXPECT_EQ(old.nodes.at("layer2.0.conv1").integers.at("strides"), two);
  EXPECT_EQ(old.nodes.at("layer2.0.conv2").integers.at("strides"), one);
  EXPECT_EQ(now.nodes.at("bn1").reals.at("epsilon"), 1e-5f);
  EXPECT_EQ(old.nodes.at("bn1").reals.at("epsilon"), 1.001e-5f);
  EXPECT_EQ(now.nodes.at("bn1").inputs,
            (std::vector<std::string>{"conv1", "bn1.weight", "bn1.bias", "bn1.running_mean",
                                      "bn1.running_var"}));
  EXPECT_EQ(now.nodes.at("maxpool").integers.at("pads"), (std::vector<int64_t>{1, 1, 1, 1}));
  EXPECT_EQ(now.nodes.at("avgpool").op, "GlobalAveragePool");
  EXPECT_EQ(now.nodes.at("layer1.1.add").inputs,
            (std::vector<std::string>{"layer1.1.bn3", "layer1.0.relu"}));
}

// 96 pixels leave a map of 2x2, which becomes 6x6: three of six windows in each half.
TEST(Onnx, adaptive_pooling_is_a_product_with_means_or_nothing) {
  const Decoded d = decoded("alexnet-tv", 2, 96);
  const DecodedNode &rows = d.nodes.at("avgpool.rows"), &columns = d.nodes.at("avgpool.columns");
  EXPECT_EQ(rows.inputs, (std::vector<std::string>{"avgpool.rows", "features.12"}));
  EXPECT_EQ(columns.inputs, (std::vector<std::string>{"avgpool.between", "avgpool.columns"}));
  const auto values = [&](const std::string& name) {
    const std::string raw = text(d.initializers.at(name), 9);
    std::vector<float> out(raw.size() / sizeof(float));
    std::memcpy(out.data(), raw.data(), raw.size());
    return out;
  };
  EXPECT_EQ(numbers(d.initializers.at("avgpool.rows"), 1), (std::vector<int64_t>{6, 2}));
  EXPECT_EQ(values("avgpool.rows"), (std::vector<float>{1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(numbers(d.initializers.at("avgpool.columns"), 1), (std::vector<int64_t>{2, 6}));
  EXPECT_EQ(values("avgpool.columns"), (std::vector<float>{1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(decoded("alexnet-tv", 2, 224).nodes.at("flatten").inputs[0], "features.12");
}

}  // namespace
}  // namespace ft::test
