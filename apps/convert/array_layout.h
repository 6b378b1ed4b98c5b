// The order of numbers in arrays of other programs, and how it becomes ours. Pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "io/source_tensor.h"

namespace ft::convert {

using Sides = std::vector<int64_t>;

// An array of shape `source`, seen as `view` (the same numbers in the same order), whose dimensions taken in `order` are
// ours. An empty order: it is ours already.
struct ArrayLayout {
  Sides source, view;
  std::vector<int> order;
};

// Layout in files of `format` of our tensor of shape `target`. `map`: for a matrix that reads a flattened map {C,H,W},
// that map; else empty.
//   Keras:  kernels H,W,I,O; matrices I,O; maps are flattened H,W,C.
//   MATLAB: as HDF5 shows column-major arrays: kernels O,I,W,H; matrices I,O; maps are flattened C,W,H.
//   others: ours (O,I,H,W; O,I; C,H,W).
ArrayLayout layout_of(SourceFormat format, const Sides& target, const Sides& map);

// `values` of shape `view` with its dimensions in `order`.
std::vector<float> permute(std::vector<float> values, const Sides& view,
                           const std::vector<int>& order);

}  // namespace ft::convert
