// Convolution layer.
#include "layers/conv2d.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft {
namespace {

// Either may train while the other is frozen, and both versions only rise.
Weights weights_of(const Pass& pass, bool bias) {
  if (!bias) return {pass.params[0].value, {}, pass.params[0].version};
  return {pass.params[0].value, pass.params[1].value,
          std::max(pass.params[0].version, pass.params[1].version)};
}

}  // namespace

std::string Conv2d::settings() const {
  std::string text = fmt::format("{} of {}x{}", config_.out, config_.kernel, config_.kernel);
  if (config_.stride != 1) text += fmt::format(", stride {}", config_.stride);
  if (config_.pad != 0) text += fmt::format(", pad {}", config_.pad);
  if (config_.groups != 1) text += fmt::format(", {} groups", config_.groups);
  return text;
}

Conv2dSpec Conv2d::spec(const TensorSpec& x) const {
  Conv2dSpec s;
  s.x = x;
  s.k = config_.out;
  s.r = s.s = config_.kernel;
  s.stride_h = s.stride_w = config_.stride;
  s.pad_h = s.pad_w = config_.pad;
  s.groups = config_.groups;
  s.bias = config_.bias;
  return s;
}

std::vector<Parameter> Conv2d::parameters(std::span<const Shape> x) const {
  const Shape w = spec({x[0]}).weight_shape();
  const Init init{Init::Kind::he_normal, 0, w.per_sample(), w.n() * w.h() * w.w()};
  std::vector<Parameter> all{{"weight", w, ParamRole::weight, init}};
  if (config_.bias) all.push_back({"bias", {config_.out}, ParamRole::bias, {}});
  return all;
}

Shape Conv2d::infer(const std::string& node, std::span<const Shape> x) const {
  check_spec(spec({x[0]}), node);
  return spec({x[0]}).y_shape();
}

double Conv2d::flops(std::span<const Shape> x) const { return spec({x[0]}).flops(); }

LayerPlan Conv2d::setup(const LayerSetup& setup) {
  Conv2dSpec s = spec(setup.x[0]);
  check_spec(s, setup.node);
  s.passes = {setup.wants_dx[0], setup.wants_dw};
  s.numerics = setup.numerics;
  plan_ = setup.backend.make_conv2d(s);
  LayerPlan plan;
  plan.y = plan_->y_spec();
  plan.workspace_bytes = plan_->workspace_bytes();
  plan.backward_reads_x = setup.wants_dw ? 1 : 0;
  return plan;
}

void Conv2d::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], weights_of(pass, config_.bias), {}, pass.y,
                 pass.workspace);
}

// dx = dy * w (transposed convolution), dw = x correlated with dy, db[k] = sum of dy over n,p,q.
void Conv2d::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    plan_->backward_data(pass.stream, pass.dy, weights_of(pass, config_.bias), pass.dx[0],
                         pass.workspace);
  const Tensor& dw = pass.params[0].grad;
  const Tensor db = config_.bias ? pass.params[1].grad : Tensor{};
  if (!dw.empty() || !db.empty())
    plan_->backward_weights(pass.stream, pass.x[0], pass.dy, dw, db, pass.workspace);
}

}  // namespace ft
