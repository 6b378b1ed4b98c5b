// What a run of ftrun does when the device has too little memory, faults or hangs: it ends with a line that says so,
// without another call to the device, and what it saved before is whole.
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <regex>

#include "tests/sim/program_runs.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;
using Args = std::vector<std::string>;

class ProgramFaultsTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir = std::make_unique<TempDir>();
    draw_images(*dir / "data", 2, 4);
    save_weights(*dir / "start.h5", drawn_weights("resnet50", 32, 0x1p-7));
  }
  static void TearDownTestSuite() { dir.reset(); }

  // ResNet-50 on images of 32 pixels.
  static ProcessResult run(const std::string& out, const std::string& sim, const Args& more) {
    Args args{"finetune", "--device",    "cuda",  "--weights",       *dir / "start.h5",
              "--data",   *dir / "data", "--out", *dir / out,        "--workers",
              "0",        "--print",     "none",  "--feature-cache", "off"};
    args.insert(args.end(), more.begin(), more.end());
    return run_process(FT_SIM_PROGRAM, args, {"FT_SIM=" + sim});
  }
  // Its classifier alone, in steps of two, four an epoch.
  static Args head(const std::string& epochs) { return {"--batch", "2", "--epochs", epochs}; }
  // All of it, in one step.
  static Args all(int batch) {
    return {"--unfreeze",          "*",        "--lr", "1e-5",       "--batch",
            std::to_string(batch), "--epochs", "1",    "--drop-last"};
  }

  // The run left what one of a single epoch leaves.
  static void expect_saved_after_epoch_1(const std::string& out) {
    const ProcessResult whole = run("whole", "seed=1", head("1"));
    ASSERT_EQ(whole.status, 0) << whole.err;
    const WeightFile want = load_weights(*dir / "whole/last.h5"),
                     got = load_weights(*dir / out / "last.h5");
    ASSERT_EQ(got.tensors.size(), want.tensors.size());
    for (const NamedTensor& t : want.tensors) EXPECT_EQ(got.find(t.name)->data, t.data) << t.name;
    load_weights(*dir / out / "best.h5");
    fs::remove_all(*dir / "whole");
    EXPECT_NE(read_file(*dir / out / "metrics.csv").find("1,4,val,"), std::string::npos);
  }

  static std::unique_ptr<TempDir> dir;
};
std::unique_ptr<TempDir> ProgramFaultsTest::dir;

TEST_F(ProgramFaultsTest, too_little_memory_is_told_before_step_1_with_the_batch_that_fits) {
  const std::string memory = "memory_mib=380";
  const ProcessResult r = run("large", memory, all(8));
  EXPECT_EQ(r.status, 4) << r.out << r.err;
  EXPECT_EQ(r.out.find("epoch   1"), std::string::npos) << r.out;
  std::smatch found;
  ASSERT_TRUE(std::regex_search(
      r.err, found,
      std::regex(
          "E4003: device memory: a step of 8 images needs .* of activations and workspace, .* are "
          "free beside .* of parameters and gradients, .* of optimizer and input, .* of folded "
          "weights; use --batch ([0-9]+) or less")))
      << r.err;
  const int fits = std::stoi(found[1]);
  EXPECT_LT(fits, 8);
  const ProcessResult again = run("small", memory, all(fits));
  EXPECT_EQ(again.status, 0) << again.err;
  const ProcessResult more = run("larger", memory, all(fits + 1));
  EXPECT_EQ(more.status, 4) << "a larger one fits as well";
  const ProcessResult none = run("none", "memory_mib=369", all(8));
  EXPECT_NE(none.err.find("no batch fits"), std::string::npos) << none.err;
}

class SlowProgramFaultsTest : public ProgramFaultsTest {};

TEST_F(SlowProgramFaultsTest, a_device_that_faulted_is_not_called_again) {
  const ProcessResult r =
      run("fault", "fail=cudaEventSynchronize:6:700:sticky,counts=" + (*dir / "counts").string(),
          head("3"));
  EXPECT_EQ(r.status, 3) << r.out << r.err;
  EXPECT_NE(r.err.find("E3034: "), std::string::npos) << r.err;
  EXPECT_NE(r.err.find("a kernel failed: cudaEventSynchronize"), std::string::npos) << r.err;
  EXPECT_EQ(count_of(*dir / "counts", "injected into cudaEventSynchronize"), 1);
  EXPECT_EQ(count_of(*dir / "counts", "calls of a lost device"), 0);
  EXPECT_NE(read_file(*dir / "fault/metrics.jsonl").find("3034"), std::string::npos);
  expect_saved_after_epoch_1("fault");
}

TEST_F(SlowProgramFaultsTest, a_device_that_hangs_is_given_up_and_the_step_named) {
  const auto begin = std::chrono::steady_clock::now();
  Args args = head("3");
  args.insert(args.end(), {"--device-timeout", "20"});
  const ProcessResult r = run("hang", "hang=5", args);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(180));
  EXPECT_EQ(r.status, 3) << r.out << r.err;
  EXPECT_NE(r.err.find("E3035: --device cuda:0: step 6 gave no result within 20 s"),
            std::string::npos)
      << r.err;
  expect_saved_after_epoch_1("hang");
}

}  // namespace
}  // namespace ft::test
