// ftrun on the simulated device: every engine of a convolution beside the others, and files of plans.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

using Json = nlohmann::json;
using Words = std::vector<std::string>;

class SimulatedEngines : public testing::Test {
 protected:
  ProcessResult run(const Words& args, const std::string& sim = "") {
    Words all = args;
    all.insert(all.end(), {"--device", "cuda", "--steps", "1"});
    return run_process(FT_PROGRAM, all,
                       {"FT_SIM=seed=1,memory_mib=2048,counts=" + file("counts") +
                        (sim.empty() ? "" : "," + sim)});
  }
  ProcessResult step(const Words& more, const std::string& sim = "") {
    Words args{"bench", "--model", "alexnet-tv", "--input-size", "63", "--batch", "2"};
    args.insert(args.end(), more.begin(), more.end());
    return run(args, sim);
  }
  Json engines(const Words& more) {
    Words args{"bench", "--op",  "conv2d", "--shape", "2,8,6,6", "--filters", "8",     "--kernel",
               "3",     "--pad", "1",      "--pass",  "fwd",     "--peaks",   "1,1,1", "--json"};
    args.insert(args.end(), more.begin(), more.end());
    const ProcessResult r = run(args);
    EXPECT_EQ(r.status, 0) << r.err;
    return r.status == 0 ? Json::parse(r.out)["ops"] : Json();
  }
  int64_t count(const std::string& name) const {
    std::ifstream stream(file("counts"));
    int64_t number = 0;
    for (std::string word; stream >> number && std::getline(stream >> std::ws, word);)
      if (word == name) return number;
    return 0;
  }
  std::string file(const char* name) const { return (dir_ / name).string(); }

  TempDir dir_;
};

// The one that is taken, and all.
std::string taken_of(const Json& ops, Words& all) {
  std::string taken;
  for (const Json& op : ops) {
    all.push_back(op["algorithm"]);
    EXPECT_GT(op["ms"].get<double>(), 0);
    EXPECT_EQ(op["deterministic"].get<bool>(),
              all.back().find("nondeterministic") == std::string::npos);
    if (op["taken"].get<bool>()) {
      EXPECT_TRUE(taken.empty()) << "two are taken";
      taken = all.back();
    }
  }
  return taken;
}

TEST_F(SimulatedEngines, all_engines_of_a_convolution_are_timed_and_the_taken_one_is_marked) {
  const Words expected{"cudnn:11 tensor-core nondeterministic", "cudnn:12 less-precise",
                       "cudnn:14 less-precise", "cudnn:16 tensor-core", "cudnn:17"};
  const std::pair<Words, std::string> cases[] = {
      {{}, "cudnn:17"},
      {{"--precision", "tf32"}, "cudnn:16 tensor-core"},
      {{"--precision", "bf16"}, "cudnn:16 tensor-core"},
      {{"--precision", "bf16", "--fast"}, "cudnn:11 tensor-core nondeterministic"}};
  for (auto [flags, taken] : cases) {
    flags.insert(flags.end(), {"--engine", "all"});
    Words all;
    EXPECT_EQ(taken_of(engines(flags), all), taken);
    EXPECT_EQ(all, expected);
  }
}

TEST_F(SimulatedEngines, one_engine_by_its_number) {
  const Json ops = engines({"--engine", "16"});
  ASSERT_EQ(ops.size(), 1u);
  EXPECT_EQ(ops[0]["algorithm"], "cudnn:16 tensor-core");
  EXPECT_EQ(ops[0]["workspace_bytes"].get<int64_t>() / 1000, 1);
  const Words args{"bench",     "--op", "conv2d",  "--shape", "2,8,6,6",
                   "--filters", "8",    "--peaks", "1,1,1"};
  Words wrong = args;
  wrong.insert(wrong.end(), {"--engine", "99"});
  const ProcessResult r = run(wrong);
  EXPECT_EQ(r.status, 2);
  EXPECT_NE(r.err.find("E2003: --engine: there is no engine 99"), std::string::npos) << r.err;
}

TEST_F(SimulatedEngines, a_step_on_saved_plans_builds_none) {
  const std::string path = file("plans.json");
  ASSERT_EQ(step({"--save", path, "--plans", "timed", "--precision", "bf16"}).status, 0);
  const Json saved = Json::parse(read_file(path));
  EXPECT_EQ(saved["device"], "simulated (sm_90)");
  EXPECT_EQ(saved["plans"].size(), 14u);
  for (const auto& [name, plan] : saved["plans"].items()) {
    const std::string engine = plan["engine"];
    EXPECT_TRUE(engine == "cudnn:16 tensor-core" || engine == "cudnn:17") << name << engine;
  }
  const ProcessResult r = step({"--plans", path, "--precision", "bf16"});
  ASSERT_EQ(r.status, 0) << r.err;
  EXPECT_NE(r.out.find(path + ": 14 taken, 0 chosen here"), std::string::npos) << r.out;
  EXPECT_EQ(count("plans built"), 0);
  EXPECT_EQ(count("plans loaded"), 14);
  // What the path does not have is chosen as ever.
  const ProcessResult other = step({"--plans", path});
  EXPECT_NE(other.out.find(path + ": 0 taken, 14 chosen here"), std::string::npos) << other.out;
}

TEST_F(SimulatedEngines, plans_for_another_cudnn_or_gpu_are_refused_in_one_line) {
  const std::string path = file("plans.json");
  ASSERT_EQ(step({"--save", path}).status, 0);
  const ProcessResult newer = step({"--plans", path}, "cudnn=99900");
  EXPECT_EQ(newer.status, 3);
  EXPECT_NE(newer.err.find("E3025: " + path + ": the plans are for cuDNN "), std::string::npos);
  EXPECT_NE(newer.err.find("here are cuDNN 9.99.0 and simulated (sm_90)"), std::string::npos)
      << newer.err;
  Json plans = Json::parse(read_file(path));
  plans["device"] = "NVIDIA H100 80GB HBM3 (sm_90)";
  write_file(path, plans.dump());
  const ProcessResult r = step({"--plans", path});
  EXPECT_EQ(r.status, 3);
  EXPECT_NE(r.err.find("on NVIDIA H100 80GB HBM3 (sm_90), here are"), std::string::npos) << r.err;
  EXPECT_EQ(std::count(r.err.begin(), r.err.end(), '\n'), 1);
}

TEST_F(SimulatedEngines, a_file_that_holds_no_plans_is_refused) {
  const std::string path = file("plans.json");
  for (const char* text :
       {"no JSON", "[]", "{}", R"({"format": 2})", R"({"format": 1, "library": "x"})",
        R"({"format": 1, "library": "x", "device": "y", "plans": {"a": {"engine": 3}}})"}) {
    write_file(path, text);
    const ProcessResult r = step({"--plans", path});
    EXPECT_EQ(r.status, 2) << text;
    EXPECT_NE(r.err.find("E2053: " + path), std::string::npos) << r.err;
  }
  EXPECT_NE(step({"--plans", file("none.json")}).err.find("E2061"), std::string::npos);
}

}  // namespace
}  // namespace ft::test
