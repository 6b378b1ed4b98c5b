// Real photographs (FT_PHOTOS), as a user would try them: every published network is fine-tuned on them, and the run
// leaves everything that it promises. Drawn pictures have the same in apps_tests.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

class Photos : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (photos().empty())
      GTEST_SKIP() << "set FT_PHOTOS to a folder with train/ and val/ to run this test";
  }
};

TEST_P(Photos, are_trained_on_for_an_epoch_and_everything_is_written) {
  const TempDir dir;
  const std::string run = dir / "run";
  const ProcessResult r =
      run_process(FT_PROGRAM, {"finetune", "--model", GetParam(), "--data", photos().string(),
                               "--bad-images", "skip", "--epochs", "1", "--out", run});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find("best validation accuracy"), std::string::npos) << r.out;
  for (const char* name :
       {"best.h5", "last.h5", "predictions.csv", "metrics.csv", "metrics.jsonl", "run.toml",
        "curves.svg", "confusion.svg", "gradcam.png", "train-set.png", "test-set.png"})
    EXPECT_GT(std::filesystem::file_size(run + "/" + name), 100u) << name;
  // Its own weights say the same again, without the training run around them.
  const ProcessResult again =
      run_process(FT_PROGRAM, {"evaluate", "--weights", run + "/best.h5", "--data",
                               photos().string(), "--bad-images", "skip"});
  ASSERT_EQ(again.status, 0) << again.err;
  const size_t table = again.out.find("predicted \\ true"), end = again.out.find("balanced", table);
  ASSERT_NE(end, std::string::npos) << again.out;
  EXPECT_NE(r.out.find(again.out.substr(table, end - table)), std::string::npos)
      << r.out << again.out;
}

INSTANTIATE_TEST_SUITE_P(Networks, Photos,
                         ::testing::Values("alexnet", "alexnet-tv", "resnet50", "resnet50-v1"));

}  // namespace
}  // namespace ft::test
