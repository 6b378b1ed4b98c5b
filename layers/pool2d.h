// Pooling layers: max or average over windows, and adaptive average to a fixed size. No parameters.
#pragma once

#include "layers/layer.h"

namespace ft {

class Pool2d : public Layer {
 public:
  Pool2d(Pool2dSpec::Kind kind, int64_t window, int64_t stride, int64_t pad)
      : kind_(kind), window_(window), stride_(stride), pad_(pad) {}
  std::string_view kind() const override;
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override {
    return std::make_unique<Pool2d>(kind_, window_, stride_, pad_);
  }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  const Plan* plan() const override { return plan_.get(); }
  Pool2dSpec spec(const TensorSpec& x) const;

 private:
  Pool2dSpec::Kind kind_;
  int64_t window_, stride_, pad_;
  std::unique_ptr<Pool2dPlan> plan_;
};

class AdaptiveAvgPool2d : public Layer {
 public:
  AdaptiveAvgPool2d(int64_t p, int64_t q) : p_(p), q_(q) {}
  std::string_view kind() const override { return "adaptive_avg_pool2d"; }
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override {
    return std::make_unique<AdaptiveAvgPool2d>(p_, q_);
  }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  const Plan* plan() const override { return plan_.get(); }

 private:
  int64_t p_, q_;
  std::unique_ptr<Pool2dPlan> plan_;
};

}  // namespace ft
