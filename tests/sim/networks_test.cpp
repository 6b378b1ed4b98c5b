// Whole networks, trained by ftrun on the simulated device, beside cpu and ref: the program itself, on drawn pictures,
// from command line to files. Steps are planned, captured and replayed; layers are frozen and features stored.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include "tests/sim/program_runs.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;
using Args = std::vector<std::string>;

// Of losses, relative; of probabilities; of what became of each tensor, relative.
struct Bounds {
  double losses, predictions, tensors;
};

// As docs/parity.md has them for losses and gradients.
constexpr Bounds kBounds{1e-4, 1e-4, 1e-4};

class NetworksTest : public testing::Test {
 public:
  struct Start {
    fs::path file;
    WeightFile weights;
  };

  static void SetUpTestSuite() {
    dir = std::make_unique<TempDir>();
    draw_images(*dir / "data", 2, 2);  // two steps of two images an epoch
  }
  static void TearDownTestSuite() {
    starts.clear();
    dir.reset();
  }

  // Weights of a network at 64 pixels, drawn once.
  static const Start& start(const std::string& model) {
    Start& s = starts[model];
    if (s.file.empty()) {
      s.file = *dir / (model + ".h5");
      s.weights = drawn_weights(model, 64, model == "resnet50" ? 0x1p-7 : 1);
      save_weights(s.file, s.weights);
    }
    return s;
  }

  static RunResults train(const std::string& device, const std::string& model, const Args& more) {
    const fs::path out = *dir / "run";
    Args args{"finetune", "--device",    device,  "--weights", start(model).file,
              "--data",   *dir / "data", "--out", out,         "--batch",
              "2",        "--workers",   "0",     "--print",   "none"};
    args.insert(args.end(), more.begin(), more.end());
    const ProcessResult r = run_process(FT_SIM_PROGRAM, args, {"FT_SIM=seed=3"});
    EXPECT_EQ(r.status, 0) << r.out << r.err;
    const bool simulated = r.out.find("cuda:0 (simulated, sm_90") != std::string::npos;
    EXPECT_EQ(simulated, device == "cuda") << r.out;
    if (r.status != 0) return {};
    RunResults results = read_results(out);
    fs::remove_all(out);  // hundreds of megabytes
    return results;
  }

  static void expect_near(const RunResults& got, const RunResults& want, const std::string& model,
                          const Bounds& bounds, const char* what) {
    const RunDistance d = distance(got, want, start(model).weights);
    std::printf(
        "%s: losses %.1e, predictions %.1e, changes of tensors %.1e (%s), of which %.1e unseen "
        "(%s)\n",
        what, d.losses, d.predictions, d.tensors, d.worst.c_str(), d.unseen, d.least_seen.c_str());
    EXPECT_LE(d.losses, bounds.losses) << what;
    EXPECT_LE(d.predictions, bounds.predictions) << what;
    EXPECT_LE(d.tensors, bounds.tensors) << what << ": " << d.worst;
    EXPECT_LE(d.unseen, 1e-2) << d.least_seen << " hardly moves";
  }

  static std::unique_ptr<TempDir> dir;
  static std::map<std::string, Start> starts;
};
std::unique_ptr<TempDir> NetworksTest::dir;
std::map<std::string, NetworksTest::Start> NetworksTest::starts;

// Trains on the simulated device and on the judges.
void expect_same(const std::string& model, const Args& args,
                 const std::vector<const char*>& judges) {
  const RunResults cuda = NetworksTest::train("cuda", model, args);
  for (const char* judge : judges)
    NetworksTest::expect_near(cuda, NetworksTest::train(judge, model, args), model, kBounds, judge);
}

// Two steps: one as it stands, one captured.
const Args kAlexNet{"--unfreeze", "*", "--epochs", "1", "--lr", "1e-4"};
// Batch-norms' gradients are small beside those of the convolutions.
const Args kResNet{"--unfreeze", "*",           "--epochs", "1",           "--lr",
                   "1e-4",       "--lr-factor", "*bn*=1e4", "--lr-factor", "*downsample.1*=1e4"};
// Six steps, captured and replayed; four of them from stored features.
const Args kHead{"--epochs", "3", "--feature-cache", "memory"};

TEST_F(NetworksTest, alexnet_trains_as_on_cpu) { expect_same("alexnet-tv", kAlexNet, {"cpu"}); }

TEST_F(NetworksTest, a_head_of_resnet50_trains_on_stored_features_as_on_cpu) {
  expect_same("resnet50", kHead, {"cpu"});
}

class SlowNetworksTest : public NetworksTest {};

TEST_F(SlowNetworksTest, alexnet_trains_as_on_ref) { expect_same("alexnet-tv", kAlexNet, {"ref"}); }

TEST_F(SlowNetworksTest, resnet50_trains_as_on_cpu_and_ref) {
  expect_same("resnet50", kResNet, {"cpu", "ref"});
}

TEST_F(SlowNetworksTest, heads_train_on_stored_features_as_on_cpu_and_ref) {
  expect_same("alexnet-tv", kHead, {"cpu", "ref"});
  expect_same("resnet50", kHead, {"ref"});
}
}  // namespace
}  // namespace ft::test
