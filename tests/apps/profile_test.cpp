// ftrun profile: rows add up to the step, files agree with each other, a trace nests, and what is refused. How fast
// something is is never tested, only that the account of it is right.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/ftrun/profile_report.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

using app::Peaks;
using app::ProfileReport;
using app::StepRecord;
using app::WorkRow;
using Json = nlohmann::json;

// Two layers over three steps; the middle one was disturbed. Times in nanoseconds.
ProfileReport invented_report() {
  const std::vector<WorkRow> rows{
      {"pixels", "upload", "", "input", "{1,2,2,3}", "", DType::f32, 0, 2000},
      {"conv", "conv2d", "forward", "forward", "{1,8,2,2}", "jit", DType::f32, 4e6, 1000},
      {"conv", "conv2d", "backward weights", "backward", "{1,8,2,2}", "jit", DType::bf16, 4e6,
       1000}};
  std::vector<StepRecord> records;
  for (int64_t i = 0; i < 3; ++i) {
    const int64_t begin = 1'000'000 * i, slow = i == 1 ? 3 : 1;
    StepRecord step{begin, begin + 100'000 * slow, {}, 500};
    step.spans.push_back({0, begin + 1000, begin + 5000, 0});
    step.spans.push_back({1, begin + 6000, begin + 46'000 * slow, 10e-6});
    step.spans.push_back({2, begin + 47'000 * slow, begin + 97'000 * slow, 0});
    records.push_back(step);
  }
  const Peaks peaks{200e9, 400e9, 1e9, 0};
  return make_report({"small", "train", "f32", "a device", "", 1, 2, 2, 0}, peaks, rows, records,
                     {99e-6, 98e-6, 250e-6});
}

TEST(ProfileReport, rows_and_the_rest_add_up_to_the_step_of_the_faster_half) {
  const ProfileReport r = invented_report();
  EXPECT_EQ(r.used, (std::vector<bool>{true, false, true}));
  ASSERT_EQ(r.rows.size(), 4u);  // the three, and the copies of weights
  EXPECT_NEAR(r.step, 100e-6, 1e-12);
  EXPECT_NEAR(r.rows[0].seconds, 4e-6, 1e-12);
  EXPECT_NEAR(r.rows[1].seconds, 30e-6, 1e-12);  // 40 less 10 for copies
  EXPECT_NEAR(r.rows[2].seconds, 50e-6, 1e-12);
  EXPECT_NEAR(r.rows[3].seconds, 10e-6, 1e-12);
  EXPECT_NEAR(r.unattributed(), 6e-6, 1e-12);
  EXPECT_NEAR(r.total().seconds + r.unattributed(), r.step, 1e-15);
  EXPECT_NEAR(r.plain_step, 98.5e-6, 1e-12);
  EXPECT_NEAR(r.overhead(), 100 / 98.5 - 1, 1e-9);
}

TEST(ProfileReport, predictions_take_the_higher_of_arithmetic_and_memory) {
  const ProfileReport r = invented_report();
  EXPECT_NEAR(r.rows[0].predicted, 2e-6, 1e-12);   // 2000 bytes at 1 GB/s
  EXPECT_NEAR(r.rows[1].predicted, 20e-6, 1e-12);  // 4 MFLOP at 200 GFLOP/s
  EXPECT_NEAR(r.rows[2].predicted, 10e-6, 1e-12);  // the same in bf16
  EXPECT_NEAR(r.rows[1].roofline(), 2.0 / 3, 1e-9);
  const auto kinds = r.by_kind();
  ASSERT_EQ(kinds.size(), 4u);
  EXPECT_EQ(kinds[0].name, "conv2d backward weights");
  EXPECT_NEAR(kinds[1].seconds, 30e-6, 1e-12);
}

TEST(ProfileReport, peaks_that_differ_are_said_to_be_disturbed) {
  const Peaks before{200e9, 400e9, 40e9, 1}, slower{170e9, 396e9, 40e9, 1.5};
  const Peaks merged = app::merge_peaks(slower, before);
  EXPECT_DOUBLE_EQ(merged.f32, 200e9);
  EXPECT_DOUBLE_EQ(merged.bf16, 400e9);
  EXPECT_DOUBLE_EQ(merged.memory, 40e9);
  EXPECT_DOUBLE_EQ(merged.seconds, 2.5);
  EXPECT_NEAR(merged.apart, 0.15, 1e-12);

  ProfileReport r = invented_report();
  EXPECT_EQ(app::profile_text(r).find("disturbed"), std::string::npos);
  r.peaks = merged;
  EXPECT_NE(app::profile_text(r).find("2.50 s, 15 % apart: disturbed"), std::string::npos);
  r.peaks.apart = 0.04;
  EXPECT_NE(app::profile_text(r).find("4 % apart)"), std::string::npos);
  // A backend without bf16 has no such peak, and none that differs.
  EXPECT_DOUBLE_EQ(app::merge_peaks({200e9, 0, 40e9, 1}, {200e9, 0, 40e9, 1}).apart, 0);
}

TEST(ProfileReport, given_peaks_are_three_positive_numbers) {
  const Peaks p = app::parse_peaks("220,437.5,48");
  EXPECT_DOUBLE_EQ(p.f32, 220e9);
  EXPECT_DOUBLE_EQ(p.bf16, 437.5e9);
  EXPECT_DOUBLE_EQ(p.memory, 48e9);
  for (const char* wrong :
       {"220", "220,437", "220,437,48,1", "220,437,48x", "220,0,48", "-1,2,3", "nan,1,1", ""})
    EXPECT_THROW(app::parse_peaks(wrong), Error) << wrong;
}

// Cells of a CSV file without line breaks in cells.
std::vector<std::map<std::string, std::string>> parse_csv(const std::string& text) {
  std::vector<std::vector<std::string>> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (char c : line) {
      if (c == '"')
        quoted = !quoted;
      else if (c == ',' && !quoted)
        cells.emplace_back();
      else
        cells.back() += c;
    }
    lines.push_back(cells);
  }
  std::vector<std::map<std::string, std::string>> rows;
  for (size_t i = 1; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i].size(), lines[0].size()) << i;
    for (size_t k = 0; k < lines[0].size(); ++k)
      rows.resize(i), rows[i - 1][lines[0][k]] = lines[i][k];
  }
  return rows;
}

// The files of one profile of a network, made once a configuration.
struct Files {
  TempDir dir;
  ProcessResult run;
  std::vector<std::map<std::string, std::string>> csv;
  Json json, trace;

  explicit Files(const std::vector<std::string>& more) {
    std::vector<std::string> args{
        "profile", "--steps",      "3",       "--threads",    "1", "--csv", dir / "p.csv",
        "--json",  dir / "p.json", "--trace", dir / "p.trace"};
    args.insert(args.end(), more.begin(), more.end());
    run = run_process(FT_PROGRAM, args);
    EXPECT_EQ(run.status, 0) << run.err;
    if (run.status != 0) return;
    csv = parse_csv(read_file(dir / "p.csv"));
    json = Json::parse(read_file(dir / "p.json"));
    trace = Json::parse(read_file(dir / "p.trace"));
  }
};

double number(const std::string& text) { return text.empty() ? 0 : std::stod(text); }

void expect_sums(const Files& f) {
  double sum = 0, step = 0, rest = 0;
  for (const auto& row : f.csv) {
    (row.at("layer") == "step"           ? step
     : row.at("layer") == "unattributed" ? rest
                                         : sum) += number(row.at("ms"));
    if (!row.at("predicted_ms").empty()) {
      EXPECT_NEAR(number(row.at("ratio")), number(row.at("predicted_ms")) / number(row.at("ms")),
                  1e-9)
          << row.at("layer");
    }
  }
  EXPECT_GT(step, 0);
  EXPECT_NEAR(sum + rest, step, 1e-9 * step);
  EXPECT_GE(rest, 0);
  EXPECT_NEAR(f.json["step_ms"].get<double>(), step, 1e-9 * step);
  EXPECT_NEAR(f.json["unattributed_ms"].get<double>(), rest, 1e-9 * step);
  double kinds = 0;
  for (const Json& kind : f.json["by_kind"]) kinds += kind["ms"].get<double>();
  EXPECT_NEAR(kinds, sum, 1e-9 * step);
}

void expect_same_rows(const Files& f) {
  ASSERT_EQ(f.csv.size(), f.json["rows"].size() + 2);
  for (size_t i = 0; i < f.json["rows"].size(); ++i) {
    const Json& row = f.json["rows"][i];
    for (const char* key : {"layer", "kind", "pass", "phase", "shape", "algorithm", "dtype"})
      EXPECT_EQ(f.csv[i].at(key), row[key].get<std::string>());
    for (const char* key : {"ms", "gflop", "gbyte"})
      EXPECT_NEAR(number(f.csv[i].at(key)), row[key].get<double>(),
                  1e-12 + 1e-9 * row[key].get<double>());
  }
}

// Events of one thread: each lies in the one that is open, or after it.
void expect_nesting(const Json& events) {
  std::vector<std::pair<double, double>> open;
  for (const Json& e : events) {
    if (e["ph"] != "X") continue;
    const double begin = e["ts"], end = begin + e["dur"].get<double>();
    EXPECT_GE(e["dur"].get<double>(), 0);
    while (!open.empty() && open.back().second <= begin + 1e-6) open.pop_back();
    if (!open.empty()) {
      EXPECT_GE(begin, open.back().first - 1e-6) << e["name"];
      EXPECT_LE(end, open.back().second + 1e-6) << e["name"];
    }
    if (e["cat"] == "step") {
      EXPECT_TRUE(open.empty());
    }
    open.emplace_back(begin, end);
  }
}

// The mean over the steps that are used, of what the trace says of a layer's pass, is its row.
void expect_trace_is_the_table(const Files& f) {
  std::map<std::string, double> seen;
  int steps = 0, used = 0;
  bool counts = false;
  for (const Json& e : f.trace["traceEvents"]) {
    if (e["ph"] != "X" || e["cat"] == "phase") continue;
    if (e["cat"] == "step") {
      counts = e["args"]["used"];
      ++steps;
      used += counts;
    } else if (counts) {
      seen[e["name"]] += e["dur"].get<double>() - e["args"]["copies_us"].get<double>();
    }
  }
  EXPECT_EQ(steps, 3);
  ASSERT_EQ(used, 2);
  for (const Json& row : f.json["rows"]) {
    if (row["kind"] == "copies of weights") continue;
    const std::string pass = row["pass"],
                      name = row["layer"].get<std::string>() + " " +
                             (pass.empty() ? row["kind"].get<std::string>() : pass);
    ASSERT_TRUE(seen.contains(name)) << name;
    EXPECT_NEAR(seen[name] / used / 1e3, row["ms"].get<double>(), 2e-6) << name;
  }
}

void expect_good_account(const Files& f) {
  ASSERT_EQ(f.run.status, 0);
  expect_sums(f);
  expect_same_rows(f);
  expect_nesting(f.trace["traceEvents"]);
  expect_trace_is_the_table(f);
}

std::map<std::string, double> flops_by_kind(const Files& f) {
  std::map<std::string, double> sums;
  for (const Json& row : f.json["rows"])
    sums[row["kind"].get<std::string>() + "/" + row["pass"].get<std::string>()] +=
        row["gflop"].get<double>();
  return sums;
}

TEST(Profile, a_training_step_on_the_cpu_adds_up) {
  const Files f({"--model", "resnet50", "--input-size", "64", "--batch", "2", "--device", "cpu"});
  expect_good_account(f);
  // Weights train, so their packed copies are remade; the image needs no gradient, so one convolution has no dx.
  const auto flops = flops_by_kind(f);
  EXPECT_NEAR(flops.at("conv2d/forward"), flops.at("conv2d/backward weights"), 1e-9);
  EXPECT_NEAR(flops.at("conv2d/forward") - flops.at("conv2d/backward data"),
              2e-9 * 2 * 32 * 32 * 64 * 3 * 49, 1e-9);
  EXPECT_TRUE(flops.contains("copies of weights/"));
  EXPECT_TRUE(flops.contains("update/"));
  // Little is lost between the pieces of work, also at this size.
  EXPECT_LT(f.json["unattributed_ms"].get<double>(), 0.05 * f.json["step_ms"].get<double>());
  EXPECT_EQ(f.json["observed_steps"].size(), 3u);
  EXPECT_EQ(f.json["unobserved_steps_ms"].size(), 3u);
  EXPECT_NEAR(f.json["observing_costs"].get<double>(),
              f.json["step_ms"].get<double>() / f.json["unobserved_step_ms"].get<double>() - 1,
              1e-9);
  for (const char* word : {"unattributed", "observing costs", "machine load", "by kind",
                           "furthest above the prediction"})
    EXPECT_NE(f.run.out.find(word), std::string::npos) << word;
}

TEST(Profile, inference_has_fused_convolutions_and_no_backward_pass) {
  const Files f({"--model", "resnet50-v1", "--input-size", "32", "--batch", "2", "--mode", "infer",
                 "--device", "cpu", "--peaks", "200,400,40"});
  expect_good_account(f);
  for (const Json& row : f.json["rows"])
    EXPECT_TRUE(row["phase"] == "input" || row["phase"] == "forward") << row;
  EXPECT_FALSE(f.json["peaks"]["measured"].get<bool>());
  EXPECT_DOUBLE_EQ(f.json["peaks"]["gb_per_s"].get<double>(), 40);
}

TEST(Profile, a_frozen_prefix_has_no_backward_pass_on_the_reference_backend_either) {
  const Files f({"--model", "alexnet-tv", "--input-size", "63", "--batch", "1", "--head-only",
                 "--device", "ref", "--peaks", "1,1,1"});
  expect_good_account(f);
  int products = 0;
  for (const Json& row : f.json["rows"]) {
    EXPECT_TRUE(row["pass"] != "backward data" || row["layer"] == "loss") << row;
    products += row["pass"] == "backward weights";
  }
  EXPECT_EQ(products, 1);
}

TEST(Profile, refuses_what_it_cannot_do) {
  const auto refused = [](const std::vector<std::string>& more, int status,
                          const std::string& what) {
    std::vector<std::string> args{"profile", "--model",   "alexnet-tv", "--input-size",
                                  "63",      "--batch",   "1",          "--steps",
                                  "1",       "--threads", "1"};
    args.insert(args.end(), more.begin(), more.end());
    const ProcessResult r = run_process(FT_PROGRAM, args);
    EXPECT_EQ(r.status, status) << r.err;
    EXPECT_NE(r.err.find(what), std::string::npos) << r.err;
  };
  refused({"--peaks", "fast"}, 2, "--peaks: \"fast\" is not F32,BF16,MEMORY");
  refused({"--mode", "both"}, 2, "--mode");
  refused({"--steps", "0"}, 2, "--steps");
  refused({"--csw", "x"}, 2, "did you mean --csv?");
  refused({"--precision", "bf16", "--device", "ref"}, 3, "bf16");
  refused({"--csv", "/dev/null/p.csv", "--device", "cpu", "--mode", "infer", "--peaks", "1,1,1"}, 5,
          "/dev/null/p.csv");
}

}  // namespace
}  // namespace ft::test
