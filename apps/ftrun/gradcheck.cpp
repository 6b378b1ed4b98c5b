// ftrun gradcheck: gradients against central differences in double, for every kind of layer or a whole model.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "apps/ftrun/commands.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/executor.h"
#include "layers/gradient_check.h"
#include "layers/linear.h"
#include "layers/lrn.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "models/model.h"
#include "models/patterns.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

struct LayerCase {
  std::string name;
  std::function<std::unique_ptr<Layer>()> make;
  LayerCheckSetup setup;
};

// Odd shapes on purpose: height and width differ, strides cut the border, channels are no multiple of 8.
std::vector<LayerCase> layer_cases() {
  const Shape x{2, 6, 7, 5};
  const auto conv = [](int64_t out, int64_t kernel, int64_t stride, int64_t pad, int64_t groups) {
    return [=] { return std::make_unique<Conv2d>(Conv2dConfig{out, kernel, stride, pad, groups, true}); };
  };
  const auto bn = [] { return std::make_unique<BatchNorm2d>(); };
  const auto pool = [](Pool2dSpec::Kind kind, int64_t pad) { return [=] { return std::make_unique<Pool2d>(kind, 3, 2, pad); }; };
  return {
      {"conv2d", conv(4, 3, 2, 1, 1), {{x}}},
      {"conv2d-grouped", conv(6, 3, 1, 1, 2), {{x}}},
      {"linear", [] { return std::make_unique<Linear>(5); }, {{x}}},
      {"batchnorm2d", bn, {{x}}},
      {"batchnorm2d-running", bn, {{x}, {}, true, BnMode::running}},
      {"max_pool2d", pool(Pool2dSpec::Kind::max, 1), {{x}}},
      {"avg_pool2d", pool(Pool2dSpec::Kind::average, 0), {{x}}},
      {"adaptive_avg_pool2d", [] { return std::make_unique<AdaptiveAvgPool2d>(3, 4); }, {{x}}},
      {"lrn", [] { return std::make_unique<Lrn>(5, 1e-1, 0.75, 1.0); }, {{x}}},
      {"relu", [] { return std::make_unique<Relu>(); }, {{x}}},
      {"add", [] { return std::make_unique<Add>(); }, {{x, x}}},
      {"dropout", [] { return std::make_unique<Dropout>(0.5); }, {{x}}},
      {"softmax_cross_entropy", [] { return std::make_unique<SoftmaxCrossEntropy>(); },
       {{Shape{4, 5}, Shape{4}}, {DType::f64, DType::i32}}},
  };
}

bool check_layers(const GradcheckOptions& o, Backend& backend) {
  bool passed = true, found = false;
  std::vector<std::string> names{"all"};
  for (const LayerCase& c : layer_cases()) {
    names.push_back(c.name);
    if (o.layer != "all" && o.layer != c.name && !c.name.starts_with(o.layer + "-")) continue;
    found = true;
    GradientCheckOptions options;
    options.seed = o.seed + 1;
    for (const GradientCheck& check : check_layer_gradients(*c.make(), backend, c.setup, options)) {
      fmt::print("{:<24} {}\n", c.name, check.str());
      passed = passed && check.passed;
    }
  }
  if (found) return passed;
  const std::string near = nearest_name(o.layer, names);
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  throw Error(2026, "--layer", "there is no layer \"" + o.layer + "\"",
              (near.empty() ? "" : "did you mean " + near + "? ") + ("layers: " + list));
}

// A whole model in double: every parameter and the image, against differences of the mean loss. Dropout has the
// same mask in all runs; batch-norms use their running statistics, since two images make batch statistics
// so curved that no step size serves all parameters.
bool check_model(const GradcheckOptions& o, Backend& backend) {
  const ModelInfo& info = find_model(o.model);
  const int side = o.input_size.value_or(std::max(info.minimum_size, 64));
  Model model = build_model(info, 3, side, side);
  ParameterSet parameters(model.graph, backend, DType::f64);
  const auto stream = backend.make_stream();
  const StreamRef s = stream->ref();
  parameters.initialize(o.seed, s);
  CompileOptions compile;
  compile.batch = 2;
  compile.mode = Mode::training;
  compile.bn = BnMode::running;
  compile.numerics.compute = DType::f64;
  compile.keep_gradients = {model.image};
  CompiledGraph compiled(model.graph, backend, compile);
  Executor executor(compiled, parameters, backend, make_arena(backend, {&compiled}), make_step_state(backend));
  const Tensor image = executor.value(model.image), loss = executor.value(model.loss);
  const Rng rng(o.seed, RngPurpose::test);
  for (int64_t i = 0; i < image.shape().elements(); ++i) image.as<double>()[i] = rng.normal(static_cast<uint64_t>(i));
  for (int n = 0; n < 2; ++n) {
    executor.value(model.labels).as<int32_t>()[n] = n;
    executor.gradient(model.loss).as<double>()[n] = 0.5;
  }
  executor.forward(s);
  executor.backward(s);
  const double seed[] = {0.5, 0.5};
  GradientCheckOptions options;
  options.max_elements = o.samples;
  options.tolerance = 1e-5;  // thousands of roundings lie between a weight and the loss
  bool passed = true;
  const auto check = [&](const std::string& name, const Tensor& x, const Tensor& dx) {
    const size_t count = static_cast<size_t>(x.shape().elements());
    const GradientCheck c = check_gradient(name, {x.as<double>(), count}, {dx.as<double>(), count},
                                           [&] { executor.forward(s); }, {loss.as<double>(), 2}, seed, options);
    fmt::print("{:<24} {}\n", model.name, c.str());
    std::fflush(stdout);
    passed = passed && c.passed;
  };
  check("image", image, executor.gradient(model.image));
  for (size_t i = 0; i < model.graph.parameters().size(); ++i)
    if (const Tensor& grad = parameters.grad(static_cast<int>(i)); !grad.empty())
      check(model.graph.parameters()[i].name, parameters.value(static_cast<int>(i)), grad);
  return passed;
}

}  // namespace

int run_gradcheck(const GradcheckOptions& o) {
  const auto backend = make_backend({}, {0});
  const bool passed = o.model.empty() ? check_layers(o.layer.empty() ? [&] { auto all = o; all.layer = "all"; return all; }() : o, *backend)
                                      : check_model(o, *backend);
  fmt::print("{}\n", passed ? "all gradients agree" : "some gradients are wrong");
  return passed ? 0 : 1;
}

}  // namespace ft::app
