// Fully connected layer: parameters "weight" {O,I} and "bias" {O}.
#pragma once

#include "layers/layer.h"

namespace ft {

class Linear : public Layer {
 public:
  // `init` of the weight: He for hidden layers, Glorot uniform for a new head (as MATLAB).
  explicit Linear(int64_t out, Init::Kind init = Init::Kind::he_normal) : out_(out), init_(init) {}
  std::string_view kind() const override { return "linear"; }
  std::string settings() const override { return std::to_string(out_) + " outputs"; }
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Linear>(out_, init_); }
  std::vector<Parameter> parameters(std::span<const Shape> x) const override;
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  double flops(std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
  bool splits_backward() const override { return true; }
  const Plan* plan() const override { return plan_.get(); }

 private:
  int64_t out_;
  Init::Kind init_;
  std::unique_ptr<MatmulPlan> plan_;
};

}  // namespace ft
