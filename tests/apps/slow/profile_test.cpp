// Where the time of a step goes, at the published sizes: what no row explains is less than a fiftieth of it.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

class ProfileSums : public ::testing::TestWithParam<const char*> {};

TEST_P(ProfileSums, reach_98_percent_of_the_step) {
  const TempDir dir;
  const std::string file = dir / "p.json";
  const ProcessResult r = run_process(FT_PROGRAM, {"profile", "--model", GetParam(), "--batch", "4",
                                                   "--device", "cpu", "--json", file});
  ASSERT_EQ(r.status, 0) << r.err;
  const auto profile = nlohmann::json::parse(read_file(file));
  const double step = profile["step_ms"].get<double>();
  double rows = 0;
  for (const auto& row : profile["rows"]) rows += row["ms"].get<double>();
  EXPECT_GE(rows, 0.98 * step);
  EXPECT_LE(rows, step * (1 + 1e-9));
}

INSTANTIATE_TEST_SUITE_P(Networks, ProfileSums,
                         ::testing::Values("alexnet", "alexnet-tv", "resnet50", "resnet50-v1"));

}  // namespace
}  // namespace ft::test
