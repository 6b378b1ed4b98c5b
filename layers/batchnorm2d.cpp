// Batch-norm layer.
#include "layers/batchnorm2d.h"

#include <fmt/format.h>

namespace ft {
namespace {

BatchNormParams params_of(const Pass& pass) {
  return {pass.params[0].value, pass.params[1].value, pass.params[2].value, pass.params[3].value};
}

}  // namespace

std::string BatchNorm2d::settings() const {
  return fmt::format("epsilon {:g}{}{}", epsilon_, add_ ? ", add" : "", relu_ ? ", relu" : "");
}

std::vector<Parameter> BatchNorm2d::parameters(std::span<const Shape> x) const {
  const Shape c{x[0].c()};
  const Init zero{Init::Kind::constant, 0}, one{Init::Kind::constant, 1};
  return {{"weight", c, ParamRole::gamma, one},
          {"bias", c, ParamRole::beta, zero},
          {"running_mean", c, ParamRole::running_mean, zero, false},
          {"running_var", c, ParamRole::running_var, one, false}};
}

Shape BatchNorm2d::infer(const std::string& node, std::span<const Shape> x) const {
  if (x[0].rank() != 4)
    throw Error(2404, node, "batch-norm needs N,C,H,W, got " + x[0].str(), "check the model");
  FT_CHECK(x.size() == (add_ ? 2 : 1) && x.back() == x[0],
           node + ": a residual has the shape of x");
  return x[0];
}

LayerPlan BatchNorm2d::setup(const LayerSetup& setup) {
  BatchNorm2dSpec s;
  s.x = setup.x[0];
  s.epsilon = epsilon_;
  s.momentum = momentum_;
  s.mode = setup.bn;
  s.add_residual = add_;
  s.relu = relu_;
  s.passes = {setup.wants_dx[0] || (add_ && setup.wants_dx[1]), setup.wants_dw};
  if (s.mode == BnMode::batch && s.x.shape.n() * s.x.shape.h() * s.x.shape.w() < 2)
    throw Error(2405, setup.node, "batch statistics of a single value have no variance",
                "use a larger --batch or --input-size, or --bn running");
  plan_ = setup.backend.make_batchnorm2d(s);
  LayerPlan plan;
  plan.y = plan_->y_spec();
  plan.workspace_bytes = plan_->workspace_bytes();
  plan.aux_bytes = plan_->aux_bytes();
  plan.backward_reads_x = s.passes.any_backward() ? 1 : 0;
  plan.in_place = add_ ? 1 : 0;
  return plan;
}

void BatchNorm2d::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], add_ ? pass.x[1] : Tensor{}, params_of(pass), pass.y,
                 pass.aux, pass.workspace);
}

void BatchNorm2d::backward(const Pass& pass) {
  plan_->backward(
      pass.stream, pass.x[0], pass.dy, params_of(pass), pass.aux,
      {pass.dx[0], add_ ? pass.dx[1] : Tensor{}, pass.params[0].grad, pass.params[1].grad},
      pass.workspace);
}

}  // namespace ft
