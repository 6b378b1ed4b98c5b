// Layers that work element by element or only change the view: ReLU, Add, Dropout, Flatten. No parameters.
#pragma once

#include "layers/layer.h"

namespace ft {

class Relu : public Layer {
 public:
  std::string_view kind() const override { return "relu"; }
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Relu>(); }
  Shape infer(const std::string&, std::span<const Shape> x) const override { return x[0]; }
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
};

// y = x0 + x1, the end of a residual block.
class Add : public Layer {
 public:
  std::string_view kind() const override { return "add"; }
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Add>(); }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;
};

// Inverted dropout in training, nothing in evaluation. The mask is a function of seed, step, node and
// position, so none is stored.
class Dropout : public Layer {
 public:
  explicit Dropout(double p) : p_(p) {}
  std::string_view kind() const override { return "dropout"; }
  std::string settings() const override;
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Dropout>(p_); }
  Shape infer(const std::string& node, std::span<const Shape> x) const override;
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass& pass) override;
  void backward(const Pass& pass) override;

 private:
  double p_;
  DropoutSpec spec_;
};

// {N,C,H,W} -> {N,C*H*W}: a view; the fully connected layer behind it reads the four axes.
class Flatten : public Layer {
 public:
  std::string_view kind() const override { return "flatten"; }
  std::unique_ptr<Layer> clone() const override { return std::make_unique<Flatten>(); }
  Shape infer(const std::string&, std::span<const Shape> x) const override {
    return {x[0].n(), x[0].per_sample()};
  }
  LayerPlan setup(const LayerSetup& setup) override;
  void forward(const Pass&) override {}
  void backward(const Pass&) override {}
};

}  // namespace ft
