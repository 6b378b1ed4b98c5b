// Convolutions as cuDNN operation graphs.
#include "tensor/cuda/conv2d_graph.h"

#include <fmt/format.h>

#include "tensor/error.h"

namespace ft::cuda {
namespace {

struct Tensors {
  GraphBuilder::Dims x, w, y;
};

Tensors dims_of(const Conv2dSpec& spec) {
  const Shape x = spec.x.shape, y = spec.y_shape();
  const int64_t c = memory_channels(spec);
  return {{x.n(), c, x.h(), x.w()},
          {spec.k, c / spec.groups, spec.r, spec.s},
          {y.n(), y.c(), y.h(), y.w()}};
}

// conv, + residual, + bias, relu: in this order cuDNN has ready-made engines for the whole chain; with the bias
// before the residual only runtime-compiled ones.
void add_forward(GraphBuilder& g, const Conv2dSpec& spec) {
  const DType type = spec.x.dtype;
  const Tensors d = dims_of(spec);
  const auto x = g.stored(d.x, type), w = g.stored(d.w, type);
  const auto residual = spec.add_residual ? g.stored(d.y, type) : 0;
  const auto bias = spec.bias ? g.stored({1, spec.k, 1, 1}, bias_dtype(spec)) : 0;
  const auto y = g.stored(d.y, type);

  int steps = int{spec.add_residual} + int{spec.bias} + int{spec.relu};
  const auto next = [&] { return steps-- == 0 ? y : g.inner(d.y); };
  auto value = next();
  g.convolution(PassKind::forward, x, w, value,
                {{spec.stride_h, spec.stride_w}, {spec.pad_h, spec.pad_w}});
  const auto fuse = [&](auto op) {
    const auto result = next();
    op(value, result);
    value = result;
  };
  if (spec.add_residual) fuse([&](auto in, auto out) { g.add(in, residual, out); });
  if (spec.bias) fuse([&](auto in, auto out) { g.add(in, bias, out); });
  if (spec.relu) fuse([&](auto in, auto out) { g.relu(in, out); });
}

void add_backward(GraphBuilder& g, const Conv2dSpec& spec, PassKind pass) {
  const DType type = spec.x.dtype;
  const Tensors d = dims_of(spec);
  const ConvolutionGeometry geometry{{spec.stride_h, spec.stride_w}, {spec.pad_h, spec.pad_w}};
  if (pass == PassKind::backward_data) {
    const auto w = g.stored(d.w, type), dy = g.stored(d.y, type), dx = g.stored(d.x, type);
    g.convolution(pass, dx, w, dy, geometry);
  } else {
    const auto x = g.stored(d.x, type), dy = g.stored(d.y, type), dw = g.stored(d.w, type);
    g.convolution(pass, x, dw, dy, geometry);
  }
}

}  // namespace

int64_t memory_channels(const Conv2dSpec& spec) {
  const int64_t c = spec.x.shape.c();
  if (spec.x.layout == Layout::nhwc) return c;
  FT_CHECK(
      spec.x.layout == Layout::nchw8c && c <= 8 && spec.groups == 1,
      "a convolution on CUDA reads nhwc, or nchw8c with at most 8 channels and one group, not " +
          spec.x.str());
  return 8;
}

DType bias_dtype(const Conv2dSpec& spec) { return spec.x.dtype; }

GraphBuilder conv2d_graph(const Conv2dSpec& spec, PassKind pass) {
  GraphBuilder g;
  if (pass == PassKind::forward)
    add_forward(g, spec);
  else
    add_backward(g, spec, pass);
  return g;
}

CudnnPlan make_conv2d_plan(const PlanTarget& target, const Conv2dSpec& spec, PassKind pass,
                           const EngineRules& rules) {
  return choose_plan(target, conv2d_graph(spec, pass).finish(target), rules, name_of(spec, pass));
}

std::string name_of(const Conv2dSpec& spec, PassKind pass) {
  static constexpr const char* kPasses[] = {"forward", "backward_data", "backward_weights"};
  const auto both = [](int64_t h, int64_t w) {
    return h == w ? fmt::to_string(h) : fmt::format("{}x{}", h, w);
  };
  std::string text =
      fmt::format("conv2d {} {} {}{} {} of {}x{}/{}+{}", kPasses[static_cast<size_t>(pass)],
                  spec.numerics.tf32 ? "tf32" : name_of(spec.x.dtype), spec.x.shape.str(),
                  spec.x.layout == Layout::nhwc ? "" : " padded", spec.k, spec.r, spec.s,
                  both(spec.stride_h, spec.stride_w), both(spec.pad_h, spec.pad_w));
  if (spec.groups > 1) text += fmt::format(" in {} groups", spec.groups);
  if (pass != PassKind::forward) return text;
  if (spec.add_residual) text += ", residual";
  if (spec.bias) text += ", bias";
  if (spec.relu) text += ", relu";
  return text;
}

}  // namespace ft::cuda
