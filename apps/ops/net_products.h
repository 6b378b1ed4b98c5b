// The convolutions and matrix products of a network as op cases.
#pragma once

#include <optional>
#include <vector>

#include "apps/ops/op_cases.h"
#include "models/model.h"

namespace ft::ops {

// The product of a node for a batch of this size, or nothing. `passes` says which backward passes it is made for.
std::optional<OpSpec> product_of(const Model& model, const Node& node, int64_t batch,
                                 PassSet passes);

// All of them that differ, in graph order, for training: nobody needs the gradient of the pixels.
std::vector<OpCase> distinct_products(const Model& model, int64_t batch);

}  // namespace ft::ops
