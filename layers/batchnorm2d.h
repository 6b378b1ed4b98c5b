// Batch-norm layer, with the residual add and the ReLU that compile() may have fused to it: parameters "weight" (gamma), "bias" (beta), and the statistics "running_mean" and
// "running_var", all {C}, named as torchvision names them.
#pragma once

#include "layers/layer.h"

namespace ft {

class BatchNorm2d : public Layer {
 public:
  // momentum: share of the batch in a new running statistic.
  // add: a second input is added behind it; relu: then max(0, .).
  explicit BatchNorm2d(double epsilon = 1e-5, double momentum = 0.1, bool add = false,
                       bool relu = false)
      : epsilon_(epsilon), momentum_(momentum), add_(add), relu_(relu) {}
  std::string_view kind() const override { return "batchnorm2d"; }
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override {
    return std::make_unique<BatchNorm2d>(epsilon_, momentum_, add_, relu_);
  }
  std::vector<Parameter> parameters(std::span<const Shape> x) const override;
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  const Plan* plan() const override { return plan_.get(); }
  double epsilon() const { return epsilon_; }
  double momentum() const { return momentum_; }
  // The same batch-norm with more behind it.
  std::unique_ptr<BatchNorm2d> fused(bool add, bool relu) const {
    return std::make_unique<BatchNorm2d>(epsilon_, momentum_, add, relu);
  }

 private:
  double epsilon_, momentum_;
  bool add_, relu_;
  std::unique_ptr<BatchNorm2dPlan> plan_;
};

}  // namespace ft
