// From nodes to op cases.
#include "apps/ops/net_products.h"

#include <algorithm>

#include "layers/conv2d.h"

namespace ft::ops {

std::optional<OpSpec> product_of(const Model& model, const Node& node, int64_t batch,
                                 PassSet passes) {
  const Shape x = model.graph.input_shapes(node, batch)[0];
  if (const auto* conv = dynamic_cast<const Conv2d*>(node.layer.get())) {
    Conv2dSpec spec = conv->spec({x});
    spec.passes = passes;
    return spec;
  }
  if (node.layer->kind() != "linear") return std::nullopt;
  MatmulSpec spec;
  spec.x.shape = x;
  spec.out = model.graph.values()[static_cast<size_t>(node.output)].shape.c();
  spec.bias = true;
  spec.passes = passes;
  return spec;
}

std::vector<OpCase> distinct_products(const Model& model, int64_t batch) {
  std::vector<OpCase> cases;
  for (const Node& node : model.graph.nodes()) {
    const auto op = product_of(model, node, batch, {node.inputs[0] != model.image, true});
    if (!op) continue;
    const std::string name = case_name(*op);
    if (std::ranges::none_of(cases, [&](const OpCase& c) { return c.name == name; }))
      cases.push_back({name, *op, true});
  }
  return cases;
}

}  // namespace ft::ops
