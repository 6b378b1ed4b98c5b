// Convolution with folded batch-norm, residual add and ReLU.
#include "layers/fused_conv2d.h"

#include <cmath>
#include <numeric>

namespace ft {
namespace {

std::vector<float> to_host(const Pass& pass, const Tensor& t) {
  const Tensor plain({t.shape(), DType::f32, Layout::plain}, pass.backend.allocator());
  std::vector<float> host(static_cast<size_t>(t.shape().elements()));
  pass.backend.convert(pass.stream, t, plain);
  pass.backend.download(pass.stream, plain, host.data());
  pass.backend.synchronize(pass.stream);
  return host;
}

void to_device(const Pass& pass, const std::vector<float>& host, const Tensor& t) {
  const Tensor plain({t.shape(), DType::f32, Layout::plain}, pass.backend.allocator());
  pass.backend.upload(pass.stream, host.data(), plain);
  pass.backend.convert(pass.stream, plain, t);
  pass.backend.synchronize(pass.stream);
}

}  // namespace

std::string FusedConv2d::settings() const {
  return conv_.settings() + (config_.bn_epsilon ? ", batch-norm" : "") +
         (config_.add ? ", add" : "") + (config_.relu ? ", relu" : "");
}

Shape FusedConv2d::infer(const std::string& node, std::span<const Shape> x) const {
  return conv_.infer(node, x.first(1));
}

double FusedConv2d::flops(std::span<const Shape> x) const { return conv_.flops(x.first(1)); }

LayerPlan FusedConv2d::setup(const LayerSetup& setup) {
  Conv2dSpec s = conv_.spec(setup.x[0]);
  check_spec(s, setup.node);
  s.bias = config_.conv.bias || config_.bn_epsilon;
  s.add_residual = config_.add;
  s.relu = config_.relu;
  s.numerics = setup.numerics;
  plan_ = setup.backend.make_conv2d(s);
  if (config_.bn_epsilon) {
    const DType dtype = setup.numerics.compute == DType::f64 ? DType::f64 : DType::f32;
    folded_.w =
        Tensor({s.weight_shape(), dtype, setup.backend.weight_layout()}, setup.backend.allocator());
    folded_.b = Tensor({{s.k}, dtype, Layout::plain}, setup.backend.allocator());
  }
  LayerPlan plan;
  plan.y = plan_->y_spec();
  plan.workspace_bytes = plan_->workspace_bytes();
  return plan;
}

// In double, on the host: it happens once for frozen weights, and once a validation for others.
void FusedConv2d::fold(const Pass& pass) {
  std::vector<float> w = to_host(pass, pass.params[0].value);
  const size_t bn = config_.conv.bias ? 2 : 1, channels = static_cast<size_t>(config_.conv.out);
  std::vector<float> bias(channels, 0.0f);
  if (config_.conv.bias) bias = to_host(pass, pass.params[1].value);
  const std::vector<float> gamma = to_host(pass, pass.params[bn].value),
                           beta = to_host(pass, pass.params[bn + 1].value),
                           mean = to_host(pass, pass.params[bn + 2].value),
                           variance = to_host(pass, pass.params[bn + 3].value);
  const size_t per_channel = w.size() / channels;
  for (size_t k = 0; k < channels; ++k) {
    const double f = gamma[k] / std::sqrt(double{variance[k]} + *config_.bn_epsilon);
    for (size_t i = k * per_channel; i < (k + 1) * per_channel; ++i)
      w[i] = static_cast<float>(w[i] * f);
    bias[k] = static_cast<float>((double{bias[k]} - mean[k]) * f + beta[k]);
  }
  to_device(pass, w, folded_.w);
  to_device(pass, bias, folded_.b);
}

void FusedConv2d::forward(const Pass& pass) {
  Weights weights{pass.params[0].value, config_.conv.bias ? pass.params[1].value : Tensor{},
                  pass.params[0].version};
  if (config_.bn_epsilon) {
    uint64_t version = 0;  // versions only grow, so an equal sum means that nothing changed
    for (const ParamView& p : pass.params) version += p.version;
    if (folds_ != version) fold(pass);
    folds_ = folded_.version = version;
    weights = folded_;
  }
  plan_->forward(pass.stream, pass.x[0], weights, config_.add ? pass.x[1] : Tensor{}, pass.y,
                 pass.workspace);
}

void FusedConv2d::backward(const Pass&) {
  FT_CHECK(false, "a fused convolution has no backward pass");
}

}  // namespace ft
