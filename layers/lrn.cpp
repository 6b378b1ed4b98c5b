// Local response normalisation layer.
#include "layers/lrn.h"

namespace ft {

Shape Lrn::infer(const std::string& node, std::span<const Shape> x) const {
  if (x[0].rank() != 4 || size_ < 1 || size_ % 2 == 0)
    throw Error(2406, node, "LRN needs N,C,H,W and an odd window, got " + x[0].str(),
                "check the model");
  return x[0];
}

LayerPlan Lrn::setup(const LayerSetup& setup) {
  LrnSpec s = spec(setup.x[0]);
  s.passes.backward_data = setup.wants_dx[0];
  plan_ = setup.backend.make_lrn(s);
  LayerPlan plan;
  plan.y = plan_->y_spec();
  plan.workspace_bytes = plan_->workspace_bytes();
  plan.aux_bytes = plan_->aux_bytes();
  plan.backward_reads_x = setup.wants_dx[0] ? 1 : 0;
  return plan;
}

void Lrn::forward(const Pass& pass) {
  plan_->forward(pass.stream, pass.x[0], pass.y, pass.aux, pass.workspace);
}

void Lrn::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    plan_->backward_data(pass.stream, pass.x[0], pass.dy, pass.aux, pass.dx[0], pass.workspace);
}

}  // namespace ft
