// Where features are kept: the choice by what there is room for, and whole runs with and without a store.
#include "apps/ftrun/feature_cache.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <iterator>
#include <sstream>

#include "tensor/backend.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;
using namespace ft::app;

FeatureNeeds needs(size_t memory, size_t disk) {
  FeatureNeeds n;
  n.row_bytes = 10;
  n.val = 3;
  n.train = 20;
  n.train_repeats = true;
  n.memory = memory;
  n.disk = disk;
  n.image_s = 1;
  return n;
}

// "mn": validation in memory, training nowhere.
std::string plan(const FeatureNeeds& n) {
  const FeaturePlan p = plan_features(n);
  return {"nmd"[static_cast<int>(p.val)], "nmd"[static_cast<int>(p.train)]};
}

TEST(FeaturePlan, puts_validation_first_and_memory_before_disk) {
  EXPECT_EQ(plan(needs(230, 0)), "mm");
  EXPECT_EQ(plan(needs(229, 0)), "mn");
  EXPECT_EQ(plan(needs(229, 200)), "md");
  EXPECT_EQ(plan(needs(29, 230)), "dd");
  EXPECT_EQ(plan(needs(29, 229)), "dn");
  EXPECT_EQ(plan(needs(29, 0)), "nn");
  EXPECT_EQ(plan(needs(0, 29)), "nn");
}

TEST(FeaturePlan, follows_the_flag) {
  FeatureNeeds n = needs(230, 230);
  for (const auto& [mode, expected] :
       {std::pair{"off", "nn"}, {"memory", "mm"}, {"disk", "dd"}, {"auto", "mm"}}) {
    n.mode = mode;
    EXPECT_EQ(plan(n), expected) << mode;
  }
  n = needs(0, 230);
  n.mode = "memory";
  EXPECT_EQ(plan(n), "nn");
}

TEST(FeaturePlan, does_not_keep_what_is_used_once_or_faster_to_compute) {
  FeatureNeeds n = needs(1000, 1000);
  n.train_repeats = false;
  EXPECT_EQ(plan(n), "mn");
  n = needs(0, 1000);
  n.image_s = 1e-9;  // faster than any disk
  EXPECT_EQ(plan(n), "nn");
  n.mode = "disk";  // asked for
  EXPECT_EQ(plan(n), "dd");
}

TEST(FeatureCache, opens_what_was_planned) {
  TempDir dir;
  const FeatureCache cache = open_feature_cache(needs(30, 1000), dir.path());
  ASSERT_TRUE(cache.val && cache.train);
  EXPECT_FALSE(cache.val->on_disk());
  EXPECT_TRUE(cache.train->on_disk());
  EXPECT_EQ(cache.memory_bytes(), 30u);
  EXPECT_EQ(cache.disk_bytes(), 200u);
  EXPECT_TRUE(fs::is_empty(dir.path()));
}

// ---- whole runs ----

class CachedRun : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir = std::make_unique<TempDir>();
    const std::vector<std::string> draw{"demo-data", *dir / "demo",        "--source-per-class",
                                        "1",         "--target-per-class", "4"};
    ASSERT_EQ(run_process(FT_PROGRAM, draw).status, 0);
  }
  static void TearDownTestSuite() { dir.reset(); }

  static std::vector<std::string> words(const std::string& text) {
    std::istringstream in(text);
    return {std::istream_iterator<std::string>(in), {}};
  }

  // 16 training images in batches of 6, 6 and 4.
  static ProcessResult tune(const std::string& out, const std::string& more) {
    std::vector<std::string> args = words(
        "finetune --model resnet50 --input-size 32 --batch 6 --epochs 3 --threads 1 --print none " +
        more);
    for (const std::string& word : {std::string("--data"), (*dir / "demo/target").string(),
                                    std::string("--out"), (*dir / out).string()})
      args.push_back(word);
    ProcessResult r = run_process(FT_PROGRAM, args);
    EXPECT_EQ(r.status, 0) << r.err;
    return r;
  }

  // The columns of metrics.csv that are no times.
  static std::string metrics(const std::string& out) {
    std::string text = read_file(*dir / out / "metrics.csv"), kept;
    for (size_t line = 0; line < text.size();) {
      const size_t end = text.find('\n', line);
      size_t comma = line;
      for (int i = 0; i < 6; ++i) comma = text.find(',', comma) + 1;
      kept += text.substr(line, comma - line) + "\n";
      line = end + 1;
    }
    return kept;
  }

  static void expect_equal_runs(const std::string& a, const std::string& b) {
    SCOPED_TRACE(a + " and " + b);
    for (const char* file : {"last.h5", "best.h5", "predictions.csv", "confusion.svg"})
      if (fs::exists(*dir / a / file)) {
        EXPECT_TRUE(read_file(*dir / a / file) == read_file(*dir / b / file)) << file;
      }
    EXPECT_EQ(metrics(a), metrics(b));
    for (const std::string& out : {a, b})
      for (const auto& entry : fs::directory_iterator(*dir / out))
        EXPECT_EQ(entry.path().filename().string().find(".features"), std::string::npos)
            << entry.path();
  }

  static void expect_word(const ProcessResult& r, const std::string& word) {
    EXPECT_NE(r.out.find(word), std::string::npos) << word << "\n" << r.out;
  }

  static std::unique_ptr<TempDir> dir;
};
std::unique_ptr<TempDir> CachedRun::dir;

TEST_F(CachedRun, with_the_head_alone_is_the_run_without_a_store) {
  const std::string head = "--freeze * --unfreeze fc --feature-cache ";
  expect_word(tune("off", head + "off"), "not kept: --feature-cache off");
  const ProcessResult kept = tune("auto", head + "auto --workers 0");
  expect_word(kept, "frozen up to flatten, computed 6 at a time; 8.0 KiB an image");
  expect_word(kept, "of validation in memory, of training in memory");
  expect_word(kept, "later ones");
  expect_equal_runs("off", "auto");
  expect_word(tune("disk", head + "disk --workers 3"), "of training on disk");
  expect_equal_runs("off", "disk");
  // 100 validation images fit, 16 training images then do not.
  expect_word(tune("part", head + "memory --feature-cache-bytes 900000"),
              "of validation in memory, of training not kept");
  expect_equal_runs("off", "part");
}

TEST_F(CachedRun, with_a_part_unfrozen_is_the_run_without_a_store) {
  const std::string part =
      "--freeze * --unfreeze layer4.2.*,fc --micro-batch 4 --drop-last --val-every 2 "
      "--feature-cache ";
  const bool has_bf16 = make_backend(parse_device("cpu"), {})->supports(DType::bf16);
  const std::string precision = has_bf16 ? " --precision bf16" : " --precision f32";
  tune("part-off", part + "off" + precision);
  expect_word(tune("part-on", part + "auto" + precision),
              "frozen up to layer4.1.relu, computed 4 at a time");
  expect_equal_runs("part-off", "part-on");
}

TEST_F(CachedRun, says_why_features_are_not_kept) {
  const std::string head = "--freeze * --unfreeze fc ";
  const ProcessResult flip = tune("flip", head + "--flip");
  expect_word(flip, "of validation in memory, of training not kept");
  expect_word(flip, "--flip mirrors training images at random");
  tune("flip-off", head + "--flip --feature-cache off");
  expect_equal_runs("flip", "flip-off");
  expect_word(tune("bn", head + "--bn batch"), "not kept: --bn batch");
}

}  // namespace
}  // namespace ft::test
