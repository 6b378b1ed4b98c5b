// Loss layer: logits {N,C} and labels {N} (i32, -1 marks padding) -> loss {N}, one value a sample.
// Averaging, class weights and padding are the seed of the backward pass: dloss[n] = weight of sample n.
#pragma once

#include "layers/layer.h"

namespace ft {

class SoftmaxCrossEntropy : public Layer {
 public:
  std::string_view kind() const override { return "softmax_cross_entropy"; }
  std::unique_ptr<Layer> clone() const override { return std::make_unique<SoftmaxCrossEntropy>(); }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;

 private:
  TensorSpec probability_;
};

}  // namespace ft
