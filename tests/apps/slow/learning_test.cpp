// The defaults learn: a source network on the drawn source task, then for five seeds of data order and head the
// target task from 30 images a class. The same head on features of random weights stays far below.
#include <gtest/gtest.h>

#include <string>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

double test_accuracy(const std::string& run) {
  const std::string rows = read_file(run + "/predictions.csv");
  int all = 0, hits = 0;
  for (size_t at = 0; at < rows.size();) {
    const size_t end = rows.find('\n', at);
    const std::string row = rows.substr(at, end - at);
    at = end + 1;
    if (!row.starts_with("test,")) continue;
    size_t cell = 0;
    for (int comma = 0; comma < 4; ++comma) cell = row.find(',', cell) + 1;
    ++all;
    hits += row[cell] == '1';
  }
  EXPECT_EQ(all, 200);
  return 100.0 * hits / all;
}

TEST(Learning, five_seeds_pass_85_percent_and_random_features_do_not_reach_65) {
  const TempDir dir;
  const auto ftrun = [](const std::vector<std::string>& args) {
    const ProcessResult r = run_process(FT_PROGRAM, args);
    ASSERT_EQ(r.status, 0) << r.err;
  };
  ftrun({"demo-data", dir / "data"});
  ftrun({"finetune", "--model", "alexnet-tv", "--input-size", "96", "--data", dir / "data/source",
         "--out", dir / "source", "--epochs", "10", "--print", "none"});
  for (const char* seed : {"0", "1", "2", "3", "4"}) {
    const std::string run = dir / (std::string("run") + seed);
    ftrun({"finetune", "--weights", dir / "source/best.h5", "--data", dir / "data/target", "--out",
           run, "--seed", seed, "--print", "none"});
    EXPECT_GE(test_accuracy(run), 85) << "seed " << seed;
  }
  ftrun({"finetune", "--model", "alexnet-tv", "--input-size", "96", "--freeze", "*", "--unfreeze",
         "classifier.6.*", "--lr", "0.0005", "--epochs", "20", "--data", dir / "data/target",
         "--out", dir / "random", "--print", "none"});
  EXPECT_LT(test_accuracy(dir / "random"), 65);
}

}  // namespace
}  // namespace ft::test
