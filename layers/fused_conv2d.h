// Convolution with everything behind it that needs no kernel of its own: a frozen batch-norm folded into
// the weights, a residual add, a ReLU. Made by compile() for nodes that run in evaluation mode and have no
// backward pass; never part of a model. Parameters, in this order: conv weight, conv bias (if any), and
// gamma, beta, running mean and variance of the batch-norm (if any). Inputs: x, residual (if any).
//   y = relu(conv(x, w * f) + residual + (bias - mean) * f + beta), f = gamma / sqrt(variance + epsilon)
// The folded weights belong to the layer and are made again when a parameter changed.
#pragma once

#include <optional>

#include "layers/conv2d.h"

namespace ft {

struct FusedConv2dConfig {
  Conv2dConfig conv;
  std::optional<double> bn_epsilon;
  bool add = false, relu = false;
};

class FusedConv2d : public Layer {
 public:
  explicit FusedConv2d(const FusedConv2dConfig& config) : config_(config), conv_(config.conv) {}
  std::string_view kind() const override { return "fused_conv2d"; }
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override { return std::make_unique<FusedConv2d>(config_); }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  double flops(std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  // Throws Error 1001: there is no backward pass.
  void backward(const Pass& pass) override;
  const Plan* plan() const override { return plan_.get(); }

 private:
  void fold(const Pass& pass);
  FusedConv2dConfig config_;
  Conv2d conv_;  // for shapes and work
  std::unique_ptr<Conv2dPlan> plan_;
  Weights folded_;
  uint64_t folds_ = 0;  // version of the folded weights
};

}  // namespace ft
