// Shape rules of pooling.
#include "tensor/ops/pool2d.h"

#include <fmt/format.h>

namespace ft {

Shape Pool2dSpec::y_shape() const {
  return {x.shape.n(), x.shape.c(), (x.shape.h() + 2 * pad_h - r) / stride_h + 1,
          (x.shape.w() + 2 * pad_w - s) / stride_w + 1};
}

void check_spec(const Pool2dSpec& spec, const std::string& node) {
  const auto refuse = [&](const std::string& seen) {
    throw Error(2402, node, seen, "check the model's pooling settings and the input size");
  };
  if (spec.x.shape.rank() != 4)
    refuse(fmt::format("pooling needs N,C,H,W, got {}", spec.x.shape.str()));
  if (spec.r < 1 || spec.s < 1 || spec.stride_h < 1 || spec.stride_w < 1)
    refuse("pooling needs positive windows and strides");
  if (spec.pad_h < 0 || spec.pad_w < 0 || 2 * spec.pad_h > spec.r || 2 * spec.pad_w > spec.s)
    refuse("the padding of a pool is at most half of its window");
  if (spec.x.shape.h() + 2 * spec.pad_h < spec.r || spec.x.shape.w() + 2 * spec.pad_w < spec.s)
    refuse(fmt::format("the {}x{} window is larger than the padded input {}", spec.r, spec.s,
                       spec.x.shape.str()));
}

}  // namespace ft
