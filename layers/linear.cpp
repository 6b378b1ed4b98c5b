// Fully connected layer.
#include "layers/linear.h"

#include <algorithm>

namespace ft {
namespace {

// Either may train while the other is frozen, and both versions only rise.
Weights weights_of(const Pass& pass) {
  return {pass.params[0].value, pass.params[1].value,
          std::max(pass.params[0].version, pass.params[1].version)};
}

}  // namespace

std::vector<Parameter> Linear::parameters(std::span<const Shape> x) const {
  const int64_t in = x[0].per_sample();
  return {{"weight", {out_, in}, ParamRole::weight, {init_, 0, in, out_}},
          {"bias", {out_}, ParamRole::bias, {}}};
}

Shape Linear::infer(const std::string& node, std::span<const Shape> x) const {
  if (out_ < 1 || x[0].per_sample() < 1)
    throw Error(2403, node, "a fully connected layer needs at least one input and one output",
                "check the number of classes and the input size");
  return {x[0].n(), out_};
}

double Linear::flops(std::span<const Shape> x) const {
  return 2.0 * static_cast<double>(x[0].elements()) * static_cast<double>(out_);
}

LayerPlan Linear::setup(const LayerSetup& setup) {
  MatmulSpec s;
  s.x = setup.x[0];
  s.out = out_;
  s.bias = true;
  s.y_dtype = setup.y_dtype;
  s.passes = {setup.wants_dx[0], setup.wants_dw};
  s.numerics = setup.numerics;
  plan_ = setup.backend.make_matmul(s);
  LayerPlan plan;
  plan.y = plan_->y_spec();
  plan.workspace_bytes = plan_->workspace_bytes();
  plan.backward_reads_x = setup.wants_dw ? 1 : 0;
  return plan;
}

void Linear::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], weights_of(pass), pass.y, pass.workspace);
}

// dx = dy w, dw = dy^T x, db = sum of dy over the batch.
void Linear::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    plan_->backward_data(pass.stream, pass.dy, weights_of(pass), pass.dx[0], pass.workspace);
  const Tensor &dw = pass.params[0].grad, &db = pass.params[1].grad;
  if (!dw.empty() || !db.empty())
    plan_->backward_weights(pass.stream, pass.x[0], pass.dy, dw, db, pass.workspace);
}

}  // namespace ft
