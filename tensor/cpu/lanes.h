// One view of all layouts for own loops: an activation is N x blocks of channels x spatial
// positions x lanes, with the lanes (neighbouring channels, at most kMaxLanes) next to each other
// in memory.
//   plain    1 lane a block, positions 1 apart
//   nhwc     16, 8 or 1 lanes a block, as C divides; positions C apart
//   nchw8c   8 lanes, positions 8 apart; nchw16c likewise; the last block may hold padding
#pragma once

#include <algorithm>
#include <memory>
#include <type_traits>

#include "tensor/cpu/parallel.h"
#include "tensor/shape.h"

namespace ft::cpu {

struct Lanes {
  int64_t n = 1, channels = 1, positions = 1;  // positions: H*W
  int64_t blocks = 1, width = 1;               // width: lanes of every block, padding included
  int64_t sample_stride = 0, block_stride = 0, stride = 1;

  explicit Lanes(const TensorSpec& spec);

  // Elements of block b at sample n, from `base` on: position i begins at i * stride.
  int64_t offset(int64_t sample, int64_t block) const {
    return sample * sample_stride + block * block_stride;
  }
  // Lanes of a block that are channels; the others are padding.
  int64_t used(int64_t block) const { return std::min(width, channels - block * width); }
};

inline Lanes::Lanes(const TensorSpec& spec)
    : n(spec.shape.n()), channels(spec.shape.c()), positions(spec.shape.h() * spec.shape.w()) {
  sample_stride = n == 0 ? 0 : spec.padded_elements() / n;
  switch (spec.layout) {
    case Layout::plain:
      break;
    case Layout::nhwc:
      width = channels % 16 == 0 ? 16 : channels % 8 == 0 ? 8 : 1;
      break;
    case Layout::nchw8c:
      width = 8;
      break;
    case Layout::nchw16c:
      width = 16;
      break;
  }
  blocks = (channels + width - 1) / width;
  stride = spec.layout == Layout::nhwc ? channels : width;
  block_stride = spec.layout == Layout::nhwc ? width : width * positions;
}

// Calls make(T{}, lanes) with the element type of x and the lanes of its layout as a constant, and
// returns the plan that it makes.
template <class Interface, class Make>
std::unique_ptr<Interface> with_lanes(const TensorSpec& x, const Make& make) {
  return with_element(x.dtype, [&](auto element) -> std::unique_ptr<Interface> {
    switch (Lanes(x).width) {
      case 16:
        return make(element, std::integral_constant<int, 16>{});
      case 8:
        return make(element, std::integral_constant<int, 8>{});
      default:
        return make(element, std::integral_constant<int, 1>{});
    }
  });
}

}  // namespace ft::cpu
