// ftrun profile --device cuda on the simulated device: an interval of the device's timers for every piece of work, engines
// and workspaces, the kernels of each, and what a profiler that is attached gets to see. What a GPU's own profilers make
// of it only a GPU shows.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

using Json = nlohmann::json;

class SimulatedProfile : public testing::Test {
 protected:
  // A profile of a small step. `sim` are further settings of the device.
  ProcessResult profile(const std::vector<std::string>& more, const std::string& sim = "") {
    std::vector<std::string> args{"profile",    "--device",     "cuda", "--model",
                                  "alexnet-tv", "--input-size", "63",   "--batch",
                                  "2",          "--peaks",      "1,1,1"};
    args.insert(args.end(), more.begin(), more.end());
    return run_process(FT_PROGRAM, args,
                       {"FT_SIM=seed=1,counts=" + file("counts") + (sim.empty() ? "" : "," + sim),
                        "NVTX_INJECTION64_PATH=" FT_SIM_FOLDER "/libft_sim_nvtx.so",
                        "FT_NVTX_LOG=" + file("nvtx")});
  }

  Json json_of(const std::vector<std::string>& more, const std::string& sim = "") {
    std::vector<std::string> args{"--steps", "1", "--json", file("p.json")};
    args.insert(args.end(), more.begin(), more.end());
    const ProcessResult r = profile(args, sim);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.status == 0 ? Json::parse(read_file(file("p.json"))) : Json();
  }

  // How often the device was called, by name.
  std::map<std::string, int64_t> counts() const {
    std::map<std::string, int64_t> all;
    std::ifstream stream(file("counts"));
    int64_t number = 0;
    for (std::string name; stream >> number && std::getline(stream >> std::ws, name);)
      all[name] = number;
    return all;
  }

  std::string file(const char* name) const { return (dir_ / name).string(); }

  TempDir dir_;
};

std::string title_of(const Json& row) {
  const std::string pass = row["pass"];
  return row["layer"].get<std::string>() + " " +
         (pass.empty() ? row["kind"].get<std::string>() : pass);
}

TEST_F(SimulatedProfile, every_piece_has_its_time_engine_workspace_and_kernels) {
  const Json p = json_of({});
  double sum = 0;
  std::map<std::string, int> engines;
  for (const Json& row : p["rows"]) {
    sum += row["ms"].get<double>();
    EXPECT_GT(row["ms"].get<double>(), 0) << title_of(row);
    const std::string kind = row["kind"];
    if (kind == "upload") continue;
    ASSERT_TRUE(row.contains("kernels")) << title_of(row);
    const std::string first = row["kernels"][0]["name"];
    if (kind == "conv2d") {
      ++engines[row["algorithm"]];
      EXPECT_GE(row["workspace_bytes"].get<int64_t>(), 2000) << title_of(row);
      EXPECT_TRUE(first == "cuDNN plan" || row["pass"] == "backward weights") << title_of(row);
    } else if (kind == "linear") {
      EXPECT_TRUE(row["algorithm"].get<std::string>().starts_with("cublaslt:")) << title_of(row);
    } else {
      EXPECT_TRUE(first.starts_with("kernel of")) << title_of(row);
    }
    for (const Json& kernel : row["kernels"]) EXPECT_GT(kernel["us"].get<double>(), 0);
  }
  EXPECT_EQ(engines,
            (std::map<std::string, int>{{"cudnn:17", 14}}));  // strict f32: no tensor cores
  EXPECT_NEAR(sum + p["unattributed_ms"].get<double>(), p["step_ms"].get<double>(), 1e-6);
}

TEST_F(SimulatedProfile, the_host_waits_once_a_step_and_allocates_in_none) {
  json_of({});
  auto one = counts();
  const ProcessResult r = profile({"--steps", "4"});
  ASSERT_EQ(r.status, 0) << r.err;
  auto four = counts();
  EXPECT_EQ(four["cudaStreamSynchronize"] - one["cudaStreamSynchronize"], 3 * 2);  // both kinds
  EXPECT_EQ(four["cudaEventSynchronize"], one["cudaEventSynchronize"]);
  EXPECT_EQ(four["cudaMalloc"], one["cudaMalloc"]);
}

TEST_F(SimulatedProfile, ranges_of_nvtx_are_the_rows_in_the_order_of_the_step) {
  const Json p = json_of({});
  std::vector<std::string> step, expected;
  for (const char* phase : {"input", "forward", "backward", "update"})
    for (const Json& row : p["rows"])
      if (row["phase"] == phase) step.insert(step.end(), {"push " + title_of(row), "pop"});
  for (int i = 0; i < 3; ++i)  // one warms up, one is measured, one names kernels
    expected.insert(expected.end(), step.begin(), step.end());
  std::vector<std::string> seen;
  std::istringstream log(read_file(file("nvtx")));
  for (std::string line; std::getline(log, line);) seen.push_back(line);
  EXPECT_EQ(seen, expected);
}

TEST_F(SimulatedProfile, a_capture_range_brackets_as_many_steps_as_were_asked_for) {
  const auto bracketed = [&](const char* steps) {
    const ProcessResult r = profile({"--capture-range", "--steps", steps});
    EXPECT_EQ(r.status, 0) << r.err;
    EXPECT_NE(r.out.find("more steps were bracketed"), std::string::npos);
    EXPECT_EQ(counts()["cudaProfilerStart"], 1);
    EXPECT_EQ(counts()["cudaProfilerStop"], 1);
    EXPECT_EQ(counts()["cuptiActivityEnable"], 0);
    return counts()["kernels in brackets"];
  };
  const int64_t one = bracketed("1");
  EXPECT_GT(one, 30);
  EXPECT_EQ(bracketed("3"), 3 * one);
}

TEST_F(SimulatedProfile, without_names_of_kernels_it_says_why_in_one_line) {
  const Json p = json_of({}, "fail=cuptiActivityEnable:3:15");
  EXPECT_EQ(p["kernels"], "not named: cuptiActivityEnable: an error of the simulated CUPTI");
  for (const Json& row : p["rows"]) EXPECT_FALSE(row.contains("kernels"));
  // Nothing that was switched on stays on.
  EXPECT_EQ(counts()["cuptiActivityDisable"], 4);
}

TEST_F(SimulatedProfile, a_frozen_front_is_fused_and_in_16_bits_on_tensor_cores) {
  const Json p = json_of({"--head-only", "--precision", "bf16"});
  int products = 0;
  for (const Json& row : p["rows"]) {
    if (row["kind"] == "conv2d" || row["kind"] == "fused_conv2d") {
      EXPECT_EQ(row["algorithm"], "cudnn:16 tensor-core") << title_of(row);
      EXPECT_EQ(row["pass"], "forward");
      ++products;
    }
  }
  EXPECT_EQ(products, 5);
}

TEST_F(SimulatedProfile, a_capture_range_needs_a_gpu) {
  const ProcessResult r = run_process(
      FT_PROGRAM, {"profile", "--device", "cpu", "--capture-range", "--model", "alexnet-tv",
                   "--input-size", "63", "--batch", "1", "--peaks", "1,1,1"});
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("E2003: --capture-range: the device is cpu"), std::string::npos) << r.err;
}

}  // namespace
}  // namespace ft::test
