// The networks are the published ones: with equal weights and images they give the logits, gradients, running
// statistics and losses of PyTorch (tests/golden/parity). docs/parity.md says what that proves.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iostream>

#include "tests/parity/network_run.h"

namespace ft::parity {
namespace {

constexpr double kLogits = 1e-5, kGradients = 1e-4, kStatistics = 1e-5, kLosses = 1e-4;

const Device kCpu{Device::Kind::cpu}, kRef{};

Golden golden_of(const std::string& network) {
  return read_golden(std::string(FT_GOLDEN "/") + network + ".json");
}

std::string size_of(const Images& i) {
  return std::to_string(i.batch) + "x" + std::to_string(i.height) + "x" + std::to_string(i.width);
}

void expect_logits(const std::string& network, Device device) {
  const Golden golden = golden_of(network);
  ASSERT_FALSE(golden.logits.empty());
  for (const LogitsCase& c : golden.logits) {
    NetworkRun run(golden, c.images, {}, device);
    const double error = distance(run.logits(), c.values);
    EXPECT_LE(error, kLogits) << network << " " << size_of(c.images);
    std::cout << network << " " << size_of(c.images) << ": logits " << error << "\n";
  }
}

// Keeps the worst tensor of a kind, and fails for each one beyond the bound.
struct Worst {
  double bound;
  std::string name = "nothing";
  double error = 0;

  void judge(const std::string& tensor, const Digest& got, const Digest& want) {
    const double e = distance(got, want);
    EXPECT_LE(e, bound) << tensor;
    if (!(e < error)) name = tensor, error = e;
  }
};

void expect_step(const std::string& network, Device device, size_t most = 100) {
  const Golden golden = golden_of(network);
  ASSERT_FALSE(golden.steps.empty());
  for (size_t i = 0; i < std::min(most, golden.steps.size()); ++i) {
    const StepCase& c = golden.steps[i];
    SCOPED_TRACE(network + " " + size_of(c.images));
    NetworkRun run(golden, c.images, {.mode = Mode::training}, device);
    EXPECT_NEAR(run.pass(), c.loss, kLogits * c.loss);
    Worst gradients{kGradients}, statistics{kStatistics};
    size_t compared = 0;
    for (const Parameter& p : run.model().graph.parameters()) {
      const int index = run.model().graph.find_parameter(p.name);
      const auto& wanted = p.is_statistic() ? c.statistics : c.gradients;
      const auto want = wanted.find(p.name);
      ASSERT_NE(want, wanted.end()) << p.name;
      if (p.is_statistic()) {
        statistics.judge(p.name, digest(run.value(index)), want->second);
      } else {
        gradients.judge(p.name, digest(run.gradient(index)), want->second);
      }
      ++compared;
    }
    EXPECT_EQ(compared, c.gradients.size() + c.statistics.size());
    std::cout << network << " " << size_of(c.images) << ": gradients " << gradients.error << " ("
              << gradients.name << "), statistics " << statistics.error << " (" << statistics.name
              << ")\n";
  }
}

void expect_losses(const std::string& network, const std::string& name, Device device = kCpu) {
  const Golden golden = golden_of(network);
  const auto found = std::ranges::find(golden.runs, name, &RunCase::name);
  ASSERT_NE(found, golden.runs.end());
  const RunCase& want = *found;
  ASSERT_EQ(want.losses.size(), 10u);
  NetworkRun run(golden, want.images, options_of(want), device);
  const std::vector<double> losses = run.train(want);
  double worst = 0;
  for (size_t i = 0; i < losses.size(); ++i) {
    const double error = std::abs(losses[i] / want.losses[i] - 1);
    EXPECT_LE(error, kLosses) << network << " " << name << ", step " << i + 1 << ": " << losses[i]
                              << " against " << want.losses[i];
    worst = std::max(worst, error);
  }
  std::cout << network << " " << name << ": ten losses " << worst << "\n";
}

TEST(Parity, resnet50_has_the_logits_of_torchvision) { expect_logits("resnet50", kCpu); }

TEST(Parity, resnet50_has_the_gradients_and_statistics_of_torchvision) {
  expect_step("resnet50", kCpu);
}

TEST(LongParity, resnet50_has_ten_losses_of_torchvision) {
  expect_losses("resnet50", "all");
  expect_losses("resnet50", "frozen");
}

TEST(LongParity, resnet50_v1_is_the_published_one) {
  expect_logits("resnet50-v1", kCpu);
  expect_step("resnet50-v1", kCpu);
  expect_losses("resnet50-v1", "all");
  expect_losses("resnet50-v1", "frozen");
}

TEST(LongParity, alexnet_tv_has_logits_gradients_and_losses_of_torchvision) {
  expect_logits("alexnet-tv", kCpu);
  expect_step("alexnet-tv", kCpu);
  for (const char* run : {"all", "frozen", "dropout"}) expect_losses("alexnet-tv", run);
}

TEST(LongParity, bvlc_alexnet_is_the_published_one) {
  expect_logits("alexnet", kCpu);
  expect_step("alexnet", kCpu);
  for (const char* run : {"all", "frozen", "dropout"}) expect_losses("alexnet", run);
}

TEST(SlowParity, vgg16_has_logits_gradients_and_losses_of_torchvision) {
  expect_logits("vgg16", kCpu);
  expect_step("vgg16", kCpu);
  for (const char* run : {"all", "frozen", "dropout"}) expect_losses("vgg16", run);
}

TEST(SlowParity, vgg16_keras_drops_nothing_and_is_the_same_function) {
  expect_step("vgg16-keras", kCpu);
  expect_losses("vgg16-keras", "all");
}

// In bf16, whose rounding is 2^-9 of a value at each layer, against PyTorch's f32: docs/numerics.md states the bounds.
constexpr double kLogitsBf16 = 2e-2, kLossesBf16 = 2e-2;

void expect_bf16(const std::string& network) {
  const Golden golden = golden_of(network);
  double logits = 0, losses = 0;
  for (const LogitsCase& c : golden.logits) {
    NetworkRun run(golden, c.images, {.compute = DType::bf16}, kCpu);
    logits = std::max(logits, distance(run.logits(), c.values));
  }
  const auto all = std::ranges::find(golden.runs, "all", &RunCase::name);
  ASSERT_NE(all, golden.runs.end());
  NetworkRun::Options options = options_of(*all);
  options.compute = DType::bf16;
  NetworkRun run(golden, all->images, options, kCpu);
  const std::vector<double> got = run.train(*all);
  for (size_t i = 0; i < got.size(); ++i)
    losses = std::max(losses, std::abs(got[i] / all->losses[i] - 1));
  std::cout << network << " in bf16: logits " << logits << ", ten losses " << losses << "\n";
  EXPECT_LE(logits, kLogitsBf16) << network;
  EXPECT_LE(losses, kLossesBf16) << network;
  EXPECT_GT(logits, 1e-4) << network << ": this was computed in f32";
}

TEST(LongParity, bf16_stays_within_its_bounds_of_f32) {
  if (!make_backend(kCpu, {1})->supports(DType::bf16)) GTEST_SKIP() << "this CPU has no bf16";
  for (const char* network : {"alexnet", "alexnet-tv", "resnet50", "resnet50-v1"})
    expect_bf16(network);
}

// The plain loops, which every backend is judged by.
TEST(SlowParity, the_reference_backend_has_the_gradients_of_torchvision) {
  expect_step("alexnet-tv", kRef, 1);
  expect_step("resnet50", kRef);
}

}  // namespace
}  // namespace ft::parity
