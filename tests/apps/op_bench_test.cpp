// ftrun bench --op: which ops and passes run, what is said of them, and what is refused. Speed is never tested.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/support/process.h"

namespace ft::test {
namespace {

using Json = nlohmann::json;

ProcessResult bench_op(const std::vector<std::string>& more) {
  std::vector<std::string> args{"bench", "--threads", "1", "--steps", "2", "--peaks", "100,200,10"};
  args.insert(args.end(), more.begin(), more.end());
  return run_process(FT_PROGRAM, args);
}

Json rows_of(std::vector<std::string> more) {
  more.push_back("--json");
  const ProcessResult r = bench_op(more);
  EXPECT_EQ(r.status, 0) << r.err;
  return r.status == 0 ? Json::parse(r.out)["ops"] : Json::array();
}

// Two samples of 8 channels, 6x5, to 12 channels by 3x3 in two groups, all taps counted.
TEST(OpBench, every_pass_of_a_shape_is_counted_and_predicted) {
  const Json rows = rows_of({"--op", "conv2d", "--shape", "2,8,6,5", "--filters", "12", "--kernel",
                             "3", "--pad", "1", "--groups", "2", "--device", "cpu"});
  ASSERT_EQ(rows.size(), 3u);
  const char* passes[] = {"forward", "backward_data", "backward_weights"};
  for (size_t i = 0; i < 3; ++i) {
    const Json& row = rows[i];
    EXPECT_EQ(row["pass"], passes[i]);
    EXPECT_EQ(row["case"], "conv2d/2x8x6x5/k12_3x3/pad1/groups2");
    EXPECT_NEAR(row["gflop"].get<double>(), 2e-9 * 2 * 12 * 6 * 5 * 4 * 9, 1e-15);
    const double ms = row["ms"];
    EXPECT_LE(row["ms_min"].get<double>(), ms);
    EXPECT_GE(row["ms_max"].get<double>(), ms);
    EXPECT_NEAR(row["gb_per_s"].get<double>(), 1e3 * row["gbyte"].get<double>() / ms,
                1e-9 * row["gb_per_s"].get<double>());
    const double expected =
        std::max(row["gflop"].get<double>() / 100, row["gbyte"].get<double>() / 10) * 1e3;
    EXPECT_NEAR(row["predicted_ms"].get<double>(), expected, 1e-9 * expected);
    EXPECT_NEAR(row["ratio"].get<double>(), expected / ms, 1e-9);
    EXPECT_FALSE(row["algorithm"].get<std::string>().empty());
  }
}

TEST(OpBench, a_pass_runs_alone) {
  for (const auto& [flag, pass] :
       {std::pair{"fwd", "forward"}, {"dx", "backward_data"}, {"dw", "backward_weights"}}) {
    const Json rows = rows_of(
        {"--op", "matmul", "--shape", "4,16", "--filters", "3", "--pass", flag, "--device", "ref"});
    ASSERT_EQ(rows.size(), 1u) << flag;
    EXPECT_EQ(rows[0]["pass"], pass);
    EXPECT_NEAR(rows[0]["gflop"].get<double>(), 2e-9 * 4 * 16 * 3, 1e-15);
  }
}

TEST(OpBench, every_op_takes_a_shape) {
  const std::vector<std::vector<std::string>> ops{{"max_pool2d", "2,8,9,7", "2"},
                                                  {"avg_pool2d", "2,8,9,7", "2"},
                                                  {"adaptive_avg_pool2d", "2,8,9,7", "2"},
                                                  {"batchnorm2d", "2,8,9,7", "2"},
                                                  {"lrn", "2,8,9,7", "2"},
                                                  {"relu", "2,8,9,7", "2"},
                                                  {"add", "2,8,9,7", "1"},
                                                  {"dropout", "5,12", "1"},
                                                  {"softmax_cross_entropy", "5,10", "2"},
                                                  {"sgd", "1000", "1"},
                                                  {"normalize_image", "2,3,9,7", "1"},
                                                  {"convert", "2,8,9,7", "1"}};
  for (const auto& op : ops) {
    const Json rows = rows_of({"--op", op[0], "--shape", op[1], "--device", "ref"});
    EXPECT_EQ(rows.size(), std::stoul(op[2])) << op[0];
    for (const Json& row : rows) EXPECT_GT(row["gbyte"].get<double>(), 0) << op[0];
  }
}

TEST(OpBench, a_case_of_the_table_and_the_products_of_a_network_are_known_by_name) {
  const Json rows =
      rows_of({"--op", "conv2d/2x12x11x8/k10_3x3/stride2/pad1/groups2/bias", "--device", "cpu"});
  EXPECT_EQ(rows.size(), 3u);
  const Json net = rows_of({"--op", "conv2d", "--model", "resnet50", "--input-size", "32",
                            "--batch", "1", "--device", "cpu", "--pass", "dx"});
  std::set<std::string> names;
  for (const Json& row : net) names.insert(row["case"]);
  EXPECT_EQ(names.size(), net.size());
  EXPECT_EQ(net.size(), 22u);  // 23 different convolutions; nobody needs the gradient of the pixels
}

TEST(OpBench, refuses_what_it_cannot_do) {
  const auto refused = [](const std::vector<std::string>& args, int status,
                          const std::string& what) {
    const ProcessResult r = bench_op(args);
    EXPECT_EQ(r.status, status) << r.err;
    EXPECT_NE(r.err.find(what), std::string::npos) << r.err;
    EXPECT_EQ(std::ranges::count(r.err, '\n'), 1) << r.err;
  };
  refused({"--op", "conv3d"}, 2, "--op: \"conv3d\" is not one of conv2d, matmul");
  refused({"--op", "conv2d/none"}, 2, "is not a case of the table");
  refused({"--op", "conv2d", "--shape", "2,8,6,5"}, 2, "--filters");
  refused({"--op", "conv2d", "--filters", "5"}, 2, "--shape");
  refused({"--op", "lrn", "--model", "resnet50"}, 2, "is not a product");
  refused({"--op", "avg_pool2d"}, 2, "the networks have no avg_pool2d");
  refused({"--op", "relu", "--shape", "2,3,4,5", "--pass", "dw"}, 2, "--pass");
  refused({"--op", "conv2d", "--shape", "2,8,3,3", "--filters", "4", "--kernel", "5"}, 2,
          "--op conv2d");
  for (const char* shape :
       {"2,8", "2,8,0,5", "2,8,6,5,1", "2;8;6;5", "2,8,6,", "99999,99999,99,99", "x"})
    refused({"--op", "conv2d", "--shape", shape, "--filters", "4"}, 2, "--shape");
  refused({"--shape", "2,8,6,5"}, 2, "--op");
}

}  // namespace
}  // namespace ft::test
