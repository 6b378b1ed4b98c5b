// A model: a plain list of nodes in execution order, built by ordinary C++. Edges only point backwards.
// The graph holds descriptions (layers, shapes of one sample, parameters); compile() turns it into work.
// Not synchronised; compiled graphs read it and must not outlive it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "layers/layer.h"

namespace ft {

using ValueId = int32_t;  // index into Graph::values()

// The output of a node, or an input of the graph.
struct Value {
  std::string name;          // that of its producer, or of the input
  Shape shape;               // for a batch of one
  DType dtype = DType::f32;  // i32 for labels; activations take the compute type of a compilation
  int producer = -1;         // node, or -1 for an input of the graph
  std::vector<int> users;    // nodes that read it, ascending
};

struct Node {
  std::string name;  // "layer1.0.conv2"
  std::unique_ptr<Layer> layer;
  std::vector<ValueId> inputs;
  ValueId output = -1;
  int first_parameter = 0, parameter_count = 0;  // in Graph::parameters()
};

class Graph {
 public:
  // An input of the graph: images {C,H,W} or labels {} (one i32 a sample).
  ValueId image_input(const std::string& name, int64_t channels, int64_t height, int64_t width);
  ValueId label_input(const std::string& name);
  // Appends a node and returns its output. Names are unique; its parameters are named "node.weight" ….
  // Throws Error 24xx if the layer does not fit its inputs.
  ValueId add(const std::string& name, std::unique_ptr<Layer> layer, std::vector<ValueId> inputs);

  const std::vector<Node>& nodes() const { return nodes_; }
  const std::vector<Value>& values() const { return values_; }
  const std::vector<Parameter>& parameters() const { return parameters_; }
  // Freezing and factors are set here, before a ParameterSet is made.
  std::vector<Parameter>& parameters() { return parameters_; }
  // Shapes of the inputs of a node for a batch of n.
  std::vector<Shape> input_shapes(const Node& node, int64_t n = 1) const;

  // The value of that name, or -1.
  ValueId find(const std::string& name) const;
  // Index of the parameter of that full name, or -1.
  int find_parameter(const std::string& name) const;
  // Node that owns parameter i.
  const Node& owner(int parameter) const;

 private:
  ValueId add_value(Value value);
  std::vector<Node> nodes_;
  std::vector<Value> values_;
  std::vector<Parameter> parameters_;
};

}  // namespace ft
