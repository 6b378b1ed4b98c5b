// A whole network against central differences: forks, shared values, memory plan and walk included.
#include "layers/graph_gradient_check.h"

#include <gtest/gtest.h>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/lrn.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "tensor/ref/ref.h"

namespace ft {
namespace {

// A ReLU whose gradient is 1 % too large.
class WrongRelu final : public Relu {
 public:
  std::unique_ptr<Layer> clone() const override { return std::make_unique<WrongRelu>(); }
  void backward(const Pass& pass) override {
    Relu::backward(pass);
    for (int64_t i = 0; i < pass.dx[0].shape().elements(); ++i) pass.dx[0].as<double>()[i] *= 1.01;
  }
};

// stem - [conv - bn - relu - conv] + stem -> relu - lrn - pool - dropout - fc - loss
Graph residual_net(std::unique_ptr<Layer> last_relu) {
  Graph g;
  const ValueId image = g.image_input("image", 3, 9, 8);
  const auto conv = [](int64_t out, int64_t kernel, int64_t groups) {
    return std::make_unique<Conv2d>(
        Conv2dConfig{.out = out, .kernel = kernel, .pad = kernel / 2, .groups = groups});
  };
  ValueId v = g.add("stem", conv(6, 3, 1), {image});
  v = g.add("bn0", std::make_unique<BatchNorm2d>(), {v});
  const ValueId fork = g.add("relu0", std::make_unique<Relu>(), {v});
  v = g.add("conv1", conv(4, 3, 2), {fork});
  v = g.add("bn1", std::make_unique<BatchNorm2d>(), {v});
  v = g.add("relu1", std::make_unique<Relu>(), {v});
  v = g.add("conv2", conv(6, 1, 1), {v});
  v = g.add("add", std::make_unique<Add>(), {v, fork});
  v = g.add("relu2", std::move(last_relu), {v});
  v = g.add("lrn", std::make_unique<Lrn>(5, 0.5, 0.75, 1), {v});
  v = g.add("pool", std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 3, 2, 1), {v});
  v = g.add("avg", std::make_unique<AdaptiveAvgPool2d>(2, 2), {v});
  v = g.add("flat", std::make_unique<Flatten>(), {v});
  v = g.add("drop", std::make_unique<Dropout>(0.3), {v});
  v = g.add("fc", std::make_unique<Linear>(4), {v});
  g.add("loss", std::make_unique<SoftmaxCrossEntropy>(), {v, g.label_input("labels")});
  return g;
}

std::vector<GradientCheck> check(const Graph& graph, CompileOptions compile = {}) {
  RefBackend backend;
  compile.batch = 3;
  GradientCheckOptions options = network_gradient_options();
  options.max_elements = 25;
  return check_graph_gradients(graph, backend, compile, options);
}

std::string text(const std::vector<GradientCheck>& checks) {
  std::string all;
  for (const GradientCheck& c : checks) all += c.str() + "\n";
  return all;
}

}  // namespace

TEST(GraphGradient, residual_network) {
  const Graph graph = residual_net(std::make_unique<Relu>());
  const auto checks = check(graph);
  EXPECT_EQ(checks.size(), 1u + 12u);  // image, 4 x (weight, bias), 2 x (gamma, beta)
  EXPECT_TRUE(all_passed(checks)) << text(checks);
}

TEST(GraphGradient, frozen_parameters_are_left_out_and_the_others_stay_right) {
  Graph graph = residual_net(std::make_unique<Relu>());
  for (Parameter& p : graph.parameters())
    if (p.name.starts_with("conv1") || p.name.starts_with("bn")) p.trainable = false;
  const auto checks = check(graph);
  EXPECT_EQ(checks.size(), 1u + 6u);
  EXPECT_TRUE(all_passed(checks)) << text(checks);
}

TEST(GraphGradient, running_statistics_as_constants) {
  CompileOptions compile;
  compile.bn = BnMode::running;
  const Graph graph = residual_net(std::make_unique<Relu>());
  const auto checks = check(graph, compile);
  EXPECT_TRUE(all_passed(checks)) << text(checks);
}

TEST(GraphGradient, a_wrong_layer_spoils_everything_before_it_and_nothing_behind) {
  const Graph graph = residual_net(std::make_unique<WrongRelu>());
  for (const GradientCheck& c : check(graph)) {
    if (c.name.starts_with("fc")) {
      EXPECT_TRUE(c.passed) << c.str();
    } else if (c.name != "stem.bias" && c.name != "conv1.bias") {  // batch-norm takes them away: 0
      EXPECT_FALSE(c.passed) << c.str();
    }
  }
}

}  // namespace ft
