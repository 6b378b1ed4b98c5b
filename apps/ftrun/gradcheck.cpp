// ftrun gradcheck: gradients against central differences in double, for every kind of layer or a whole model.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "apps/ftrun/commands.h"
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/gradient_check.h"
#include "layers/graph_gradient_check.h"
#include "layers/linear.h"
#include "layers/lrn.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "models/model.h"
#include "models/patterns.h"

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
    return [=] {
      return std::make_unique<Conv2d>(Conv2dConfig{out, kernel, stride, pad, groups, true});
    };
  };
  const auto bn = [] { return std::make_unique<BatchNorm2d>(); };
  const auto fused = [](bool add) {  // as compile() makes one node of them in training
    return [=] { return BatchNorm2d().fused(add, true); };
  };
  const auto pool = [](Pool2dSpec::Kind kind, int64_t pad) {
    return [=] { return std::make_unique<Pool2d>(kind, 3, 2, pad); };
  };
  return {
      {"conv2d", conv(4, 3, 2, 1, 1), {{x}}},
      {"conv2d-grouped", conv(6, 3, 1, 1, 2), {{x}}},
      {"linear", [] { return std::make_unique<Linear>(5); }, {{x}}},
      {"batchnorm2d", bn, {{x}}},
      {"batchnorm2d-running", bn, {{x}, {}, true, BnMode::running}},
      {"batchnorm2d-relu", fused(false), {{x}}},
      {"batchnorm2d-add-relu", fused(true), {{x, x}}},
      {"max_pool2d", pool(Pool2dSpec::Kind::max, 1), {{x}}},
      {"avg_pool2d", pool(Pool2dSpec::Kind::average, 0), {{x}}},
      {"adaptive_avg_pool2d", [] { return std::make_unique<AdaptiveAvgPool2d>(3, 4); }, {{x}}},
      {"lrn", [] { return std::make_unique<Lrn>(5, 1e-1, 0.75, 1.0); }, {{x}}},
      {"relu", [] { return std::make_unique<Relu>(); }, {{x}}},
      {"add", [] { return std::make_unique<Add>(); }, {{x, x}}},
      {"dropout", [] { return std::make_unique<Dropout>(0.5); }, {{x}}},
      {"softmax_cross_entropy",
       [] { return std::make_unique<SoftmaxCrossEntropy>(); },
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

// A whole model in double, compiled as for training. Batch-norms use their running statistics: two images make
// batch statistics so curved that no step size serves all parameters.
bool check_model(const GradcheckOptions& o, Backend& backend) {
  const ModelInfo& info = find_model(o.model);
  const int side = o.input_size.value_or(std::max(info.minimum_size, 64));
  const Model model = build_model(info, 3, side, side);
  CompileOptions compile;
  compile.batch = 2;
  compile.bn = BnMode::running;
  GradientCheckOptions options = network_gradient_options();
  options.max_elements = o.samples;
  options.seed = o.seed + 1;
  const std::vector<GradientCheck> checks =
      check_graph_gradients(model.graph, backend, compile, options);
  for (const GradientCheck& c : checks) fmt::print("{:<24} {}\n", model.name, c.str());
  return all_passed(checks);
}

}  // namespace

int run_gradcheck(const GradcheckOptions& o) {
  if (!o.model.empty() && !o.layer.empty())
    throw Error(2005, "--layer", "--model checks all layers of a network together",
                "give one of the two");
  const auto backend = make_backend({}, {0});
  GradcheckOptions options = o;
  if (options.layer.empty()) options.layer = "all";
  const bool passed = o.model.empty() ? check_layers(options, *backend) : check_model(o, *backend);
  fmt::print("{}\n", passed ? "all gradients agree" : "some gradients are wrong");
  return passed ? 0 : 1;
}

}  // namespace ft::app
