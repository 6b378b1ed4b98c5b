// Convolution layer: parameters "weight" {K,C/G,R,S} and, if asked, "bias" {K}.
#pragma once

#include "layers/layer.h"

namespace ft {

struct Conv2dConfig {
  int64_t out = 0, kernel = 1, stride = 1, pad = 0, groups = 1;
  bool bias = true;
};

class Conv2d : public Layer {
 public:
  explicit Conv2d(const Conv2dConfig& config) : config_(config) {}
  std::string_view kind() const override { return "conv2d"; }
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Conv2d>(config_); }
  std::vector<Parameter> parameters(std::span<const Shape> x) const override;
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  double flops(std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  bool splits_backward() const override { return true; }
  const Plan* plan() const override { return plan_.get(); }

  const Conv2dConfig& config() const { return config_; }
  Conv2dSpec spec(const TensorSpec& x) const;

 private:
  Conv2dConfig config_;
  std::unique_ptr<Conv2dPlan> plan_;
};

}  // namespace ft
