// Local response normalisation across channels. No parameters.
#pragma once

#include "layers/layer.h"

namespace ft {

class Lrn : public Layer {
 public:
  Lrn(int64_t size, double alpha, double beta, double k)
      : size_(size), alpha_(alpha), beta_(beta), k_(k) {}
  std::string_view kind() const override { return "lrn"; }
  std::string settings() const override { return "across " + std::to_string(size_) + " channels"; }
  std::unique_ptr<Layer> clone() const override {
    return std::make_unique<Lrn>(size_, alpha_, beta_, k_);
  }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  const Plan* plan() const override { return plan_.get(); }
  LrnSpec spec(const TensorSpec& x) const { return {x, size_, alpha_, beta_, k_, {}}; }

 private:
  int64_t size_;
  double alpha_, beta_, k_;
  std::unique_ptr<LrnPlan> plan_;
};

}  // namespace ft
