// Pooling layers.
#include "layers/pool2d.h"

#include <fmt/format.h>

namespace ft {
namespace {

LayerPlan plan_of(const Pool2dPlan& pool) {
  LayerPlan plan;
  plan.y = pool.y_spec();
  plan.workspace_bytes = pool.workspace_bytes();
  plan.aux_bytes = pool.aux_bytes();
  return plan;
}

}  // namespace

std::string_view Pool2d::kind() const {
  return kind_ == Pool2dSpec::Kind::max ? "max_pool2d" : "avg_pool2d";
}

std::string Pool2d::settings() const {
  std::string text = fmt::format("{}x{}, stride {}", window_, window_, stride_);
  return pad_ == 0 ? text : text + fmt::format(", pad {}", pad_);
}

Pool2dSpec Pool2d::spec(const TensorSpec& x) const {
  return {x, kind_, window_, window_, stride_, stride_, pad_, pad_, {}};
}

Shape Pool2d::infer(const std::string& node, std::span<const Shape> x) const {
  check_spec(spec({x[0]}), node);
  return spec({x[0]}).y_shape();
}

LayerPlan Pool2d::setup(const LayerSetup& setup) {
  Pool2dSpec s = spec(setup.x[0]);
  check_spec(s, setup.node);
  s.passes.backward_data = setup.wants_dx[0];
  plan_ = setup.backend.make_pool2d(s);
  return plan_of(*plan_);
}

void Pool2d::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], pass.y, pass.aux, pass.workspace);
}

void Pool2d::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    plan_->backward_data(pass.stream, pass.dy, pass.aux, pass.dx[0], pass.workspace);
}

std::string AdaptiveAvgPool2d::settings() const { return fmt::format("to {}x{}", p_, q_); }

Shape AdaptiveAvgPool2d::infer(const std::string& node, std::span<const Shape> x) const {
  if (x[0].rank() != 4 || x[0].h() < 1 || x[0].w() < 1)
    throw Error(2402, node, "adaptive pooling needs N,C,H,W, got " + x[0].str(), "check the model");
  return {x[0].n(), x[0].c(), p_, q_};
}

LayerPlan AdaptiveAvgPool2d::setup(const LayerSetup& setup) {
  if (setup.x[0].shape.h() == p_ && setup.x[0].shape.w() == q_) {
    LayerPlan same;
    same.y = setup.x[0];
    same.alias = true;
    return same;
  }
  AdaptiveAvgPool2dSpec s{setup.x[0], p_, q_, {}};
  s.passes.backward_data = setup.wants_dx[0];
  plan_ = setup.backend.make_adaptive_avg_pool2d(s);
  return plan_of(*plan_);
}

void AdaptiveAvgPool2d::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], pass.y, pass.aux, pass.workspace);
}

void AdaptiveAvgPool2d::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    plan_->backward_data(pass.stream, pass.dy, pass.aux, pass.dx[0], pass.workspace);
}

}  // namespace ft
