// Element-wise layers and the flattening view.
#include "layers/pointwise.h"

#include <fmt/format.h>

namespace ft {

LayerPlan Relu::setup(const LayerSetup& setup) {
  LayerPlan plan;
  plan.y = setup.x[0];
  plan.in_place = 0;
  plan.backward_reads_y = setup.wants_dx[0];
  return plan;
}

void Relu::forward(const Pass& pass) { pass.backend.relu_forward(pass.stream, pass.x[0], pass.y); }

// dx = dy where y > 0, else 0.
void Relu::backward(const Pass& pass) {
  if (!pass.dx[0].empty()) pass.backend.relu_backward(pass.stream, pass.y, pass.dy, pass.dx[0]);
}

Shape Add::infer(const std::string& node, std::span<const Shape> x) const {
  if (x.size() != 2 || x[0] != x[1])
    throw Error(2407, node, fmt::format("cannot add {} and {}", x[0].str(), x[1].str()),
                "check the strides and channels of the two branches");
  return x[0];
}

LayerPlan Add::setup(const LayerSetup& setup) {
  if (setup.x[0] != setup.x[1])
    throw Error(2407, setup.node,
                fmt::format("the two branches lie differently in memory: {} and {}",
                            setup.x[0].str(), setup.x[1].str()),
                "this is a bug in ftrun: please report it with the model");
  LayerPlan plan;
  plan.y = setup.x[0];
  plan.in_place = 0;
  return plan;
}

void Add::forward(const Pass& pass) { pass.backend.add(pass.stream, pass.x[0], pass.x[1], pass.y); }

// Both inputs receive dy as it is.
void Add::backward(const Pass& pass) {
  for (const Tensor& dx : pass.dx)
    if (!dx.empty() && dx.data() != pass.dy.data()) pass.backend.convert(pass.stream, pass.dy, dx);
}

std::string Dropout::settings() const { return fmt::format("p {:g}", p_); }

Shape Dropout::infer(const std::string& node, std::span<const Shape> x) const {
  if (!(p_ >= 0 && p_ < 1))
    throw Error(2408, node, fmt::format("dropout probability {} is outside of [0, 1)", p_),
                "check the model");
  return x[0];
}

LayerPlan Dropout::setup(const LayerSetup& setup) {
  spec_ = {p_, setup.node_index};
  LayerPlan plan;
  plan.y = setup.x[0];
  plan.alias = !setup.training || p_ == 0;
  plan.in_place = 0;
  return plan;
}

void Dropout::forward(const Pass& pass) {
  pass.backend.dropout(pass.stream, spec_, pass.x[0], pass.state, pass.y);
}

// dx = dy * mask / (1 - p), with the mask of the forward pass made again.
void Dropout::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    pass.backend.dropout(pass.stream, spec_, pass.dy, pass.state, pass.dx[0]);
}

LayerPlan Flatten::setup(const LayerSetup& setup) {
  LayerPlan plan;
  plan.y = setup.x[0];
  plan.alias = true;
  return plan;
}

}  // namespace ft
