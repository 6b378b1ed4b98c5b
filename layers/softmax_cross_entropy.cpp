// Loss layer.
#include "layers/softmax_cross_entropy.h"

#include <fmt/format.h>

namespace ft {

Shape SoftmaxCrossEntropy::infer(const std::string& node, std::span<const Shape> x) const {
  if (x.size() != 2 || x[0].rank() != 2 || x[1].rank() != 1 || x[0].n() != x[1].n())
    throw Error(2409, node, "the loss needs logits {N,C} and labels {N}", "check the model");
  return {x[0].n()};
}

LayerPlan SoftmaxCrossEntropy::setup(const LayerSetup& setup) {
  const TensorSpec& logits = setup.x[0];
  probability_ = {logits.shape, logits.dtype, Layout::plain};
  LayerPlan plan;
  plan.y = {{logits.shape.n()}, logits.dtype, Layout::plain};
  plan.aux_bytes = probability_.bytes();
  plan.backward_reads_x = setup.wants_dx[0] ? 2 : 0;
  return plan;
}

void SoftmaxCrossEntropy::forward(const Pass& pass) {
  pass.backend.softmax_cross_entropy_forward(pass.stream, pass.x[0], pass.x[1], pass.y,
                                             pass.aux.reinterpret(probability_));
}

// dlogits[n,c] = dloss[n] * (probability[n,c] - [c == label[n]]).
void SoftmaxCrossEntropy::backward(const Pass& pass) {
  if (!pass.dx[0].empty())
    pass.backend.softmax_cross_entropy_backward(pass.stream, pass.aux.reinterpret(probability_),
                                                pass.x[1], pass.dy, pass.dx[0]);
}

}  // namespace ft
