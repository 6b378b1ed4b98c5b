// Building and inspecting a graph.
#include "layers/graph.h"

#include <algorithm>

namespace ft {

ValueId Graph::add_value(Value value) {
  if (find(value.name) != -1)
    throw Error(2410, value.name, "two nodes have this name", "give every node its own name");
  values_.push_back(std::move(value));
  return static_cast<ValueId>(values_.size()) - 1;
}

ValueId Graph::image_input(const std::string& name, int64_t channels, int64_t height,
                           int64_t width) {
  return add_value({name, {1, channels, height, width}, DType::f32, -1, {}});
}

ValueId Graph::label_input(const std::string& name) {
  return add_value({name, {1}, DType::i32, -1, {}});
}

ValueId Graph::add(const std::string& name, std::unique_ptr<Layer> layer,
                   std::vector<ValueId> inputs) {
  Node node;
  node.name = name;
  node.inputs = std::move(inputs);
  for (ValueId v : node.inputs)
    FT_CHECK(v >= 0 && v < static_cast<ValueId>(values_.size()),
             "node " + name + " reads no value");
  const std::vector<Shape> x = input_shapes(node);
  const Shape y = layer->infer(name, x);
  node.first_parameter = static_cast<int>(parameters_.size());
  for (Parameter p : layer->parameters(x)) {
    p.name = name + "." + p.name;
    parameters_.push_back(std::move(p));
  }
  node.parameter_count = static_cast<int>(parameters_.size()) - node.first_parameter;
  node.layer = std::move(layer);
  const int index = static_cast<int>(nodes_.size());
  node.output = add_value({name, y, DType::f32, index, {}});
  for (ValueId v : node.inputs) values_[static_cast<size_t>(v)].users.push_back(index);
  nodes_.push_back(std::move(node));
  return nodes_.back().output;
}

std::vector<Shape> Graph::input_shapes(const Node& node, int64_t n) const {
  std::vector<Shape> shapes;
  for (ValueId v : node.inputs) shapes.push_back(values_[static_cast<size_t>(v)].shape.with_n(n));
  return shapes;
}

ValueId Graph::find(const std::string& name) const {
  const auto it = std::ranges::find(values_, name, &Value::name);
  return it == values_.end() ? -1 : static_cast<ValueId>(it - values_.begin());
}

int Graph::find_parameter(const std::string& name) const {
  const auto it = std::ranges::find(parameters_, name, &Parameter::name);
  return it == parameters_.end() ? -1 : static_cast<int>(it - parameters_.begin());
}

const Node& Graph::owner(int parameter) const {
  for (const Node& node : nodes_)
    if (parameter >= node.first_parameter &&
        parameter < node.first_parameter + node.parameter_count)
      return node;
  FT_CHECK(false, "no node owns the parameter");
}

}  // namespace ft
