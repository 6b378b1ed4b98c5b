// Shape rules of the convolution.
#include "tensor/ops/conv2d.h"

#include <fmt/format.h>

namespace ft {

Shape Conv2dSpec::y_shape() const {
  return {x.shape.n(), k, (x.shape.h() + 2 * pad_h - r) / stride_h + 1,
          (x.shape.w() + 2 * pad_w - s) / stride_w + 1};
}

Shape Conv2dSpec::weight_shape() const { return {k, x.shape.c() / groups, r, s}; }

double Conv2dSpec::flops() const {
  const int64_t terms = x.shape.c() / groups * r * s;
  return 2.0 * static_cast<double>(y_shape().elements()) * static_cast<double>(terms);
}

void check_spec(const Conv2dSpec& spec, const std::string& node) {
  const auto refuse = [&](const std::string& seen) {
    throw Error(2401, node, seen, "check the model's convolution settings and the input size");
  };
  if (spec.x.shape.rank() != 4)
    refuse(fmt::format("conv2d needs N,C,H,W, got {}", spec.x.shape.str()));
  if (spec.k < 1 || spec.r < 1 || spec.s < 1 || spec.stride_h < 1 || spec.stride_w < 1 ||
      spec.pad_h < 0 || spec.pad_w < 0)
    refuse("conv2d needs positive extents and strides and no negative padding");
  if (spec.groups < 1 || spec.x.shape.c() % spec.groups != 0 || spec.k % spec.groups != 0)
    refuse(fmt::format("{} groups do not divide {} input and {} output channels", spec.groups,
                       spec.x.shape.c(), spec.k));
  if (spec.x.shape.h() + 2 * spec.pad_h < spec.r || spec.x.shape.w() + 2 * spec.pad_w < spec.s)
    refuse(fmt::format("the {}x{} window is larger than the padded input {}", spec.r, spec.s,
                       spec.x.shape.str()));
}

}  // namespace ft
