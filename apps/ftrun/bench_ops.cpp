// ftrun bench --op: every pass of an op, beside what the machine's peaks allow.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/machine_peaks.h"
#include "apps/ftrun/network.h"
#include "apps/ftrun/op_choice.h"
#include "apps/ftrun/progress.h"
#include "apps/ops/op_runs.h"

namespace ft::app {
namespace {

using ops::OpRun;

struct Timing {
  std::string name, pass;
  OpRun op;
  double median = 0, fastest = 0, slowest = 0;  // seconds
  double predicted = 0;
  bool taken = false;  // of all engines, the one that a network takes
};

// What the flag --pass calls it.
std::string flag_of(const ops::PassName& pass) {
  if (pass.kind == PassKind::backward_weights) return "dw";
  return pass.kind == PassKind::forward ? "fwd" : "dx";
}

Timing measure(ops::OpMemory& memory, const std::string& name, const ops::PassName& pass, OpRun op,
               int64_t runs) {
  Backend& backend = memory.backend();
  const StreamRef s = memory.stream();
  const auto begin = backend.make_timer(), end = backend.make_timer();
  std::vector<double> seconds;
  for (int64_t i = -2; i < runs; ++i) {  // the first two pack weights and wake threads
    backend.record(s, *begin);
    op.run();
    backend.record(s, *end);
    backend.synchronize(s);
    if (i >= 0) seconds.push_back(backend.seconds_between(*begin, *end));
  }
  std::ranges::sort(seconds);
  Timing t{name, pass.name, std::move(op)};
  t.median = seconds[seconds.size() / 2];
  t.fastest = seconds.front();
  t.slowest = seconds.back();
  return t;
}

nlohmann::ordered_json json_of(const Timing& t) {
  return {{"case", t.name},
          {"pass", t.pass},
          {"ms", 1e3 * t.median},
          {"ms_min", 1e3 * t.fastest},
          {"ms_max", 1e3 * t.slowest},
          {"gflop", 1e-9 * t.op.flops},
          {"gbyte", 1e-9 * t.op.bytes},
          {"gflop_per_s", 1e-9 * t.op.flops / t.median},
          {"gb_per_s", 1e-9 * t.op.bytes / t.median},
          {"predicted_ms", 1e3 * t.predicted},
          {"ratio", t.predicted / t.median},
          {"workspace_bytes", t.op.workspace},
          {"deterministic", t.op.deterministic},
          {"taken", t.taken},
          {"algorithm", t.op.algorithm}};
}

void print_table(const std::vector<Timing>& timings) {
  size_t width = 4;
  for (const Timing& t : timings) width = std::max(width, t.name.size());
  fmt::print("{:<{}}  {:<16} {:>10} {:>8} {:>7} {:>10} {:>6} {:>11}  algorithm\n", "case", width,
             "pass", "ms", "GFLOP/s", "GB/s", "predicted", "ratio", "workspace");
  for (const Timing& t : timings)
    fmt::print("{:<{}}  {:<16} {:>10.3f} {:>8} {:>7.1f} {:>10.3f} {:>4.0f} % {:>11}  {}\n", t.name,
               width, t.pass, 1e3 * t.median,
               t.op.flops > 0 ? fmt::format("{:.1f}", 1e-9 * t.op.flops / t.median) : "",
               1e-9 * t.op.bytes / t.median, 1e3 * t.predicted, 100 * t.predicted / t.median,
               t.op.workspace > 0 ? bytes_text(static_cast<double>(t.op.workspace)) : "",
               t.op.algorithm + (t.taken ? "  <- taken" : ""));
}

// "47" is the number of "cudnn:47 tensor-core".
bool has_number(const std::string& algorithm, const std::string& number) {
  const size_t at = algorithm.find(':');
  return at != std::string::npos &&
         algorithm.substr(at + 1, algorithm.find(' ') - at - 1) == number;
}

// Every engine of a pass, or those of one number (each may come with several settings); the one that the rules and the
// flags lead to is marked.
void measure_engines(ops::OpMemory& memory, const ops::OpCase& c, const ops::PassName& pass,
                     const NumericsPolicy& numerics, const BenchOptions& o,
                     std::vector<Timing>& timings) {
  const auto* spec = std::get_if<Conv2dSpec>(&c.op);
  if (spec == nullptr)
    throw Error(2003, "--engine", "only conv2d has a choice of engines", "use --op conv2d");
  const OpRun taken = ops::prepare(memory, c.op, pass.kind, numerics);
  bool marked = false;
  for (OpRun& run : ops::prepare_engines(memory, *spec, pass.kind, numerics)) {
    if (o.op.engine != "all" && !has_number(run.algorithm, o.op.engine)) continue;
    const bool same = run.algorithm == taken.algorithm && run.workspace == taken.workspace;
    timings.push_back(measure(memory, c.name, pass, std::move(run), o.steps));
    timings.back().taken = same && !std::exchange(marked, marked || same);
  }
  if (timings.empty())
    throw Error(2003, "--engine", fmt::format("there is no engine {} for {}", o.op.engine, c.name),
                "use --engine all to see which there are");
}

Peaks peaks_for(const BenchOptions& o, Backend& backend, StreamRef s) {
  return o.op.peaks.empty() ? measure_peaks(backend, s, o.step.common.precision == "tf32")
                            : parse_peaks(o.op.peaks);
}

std::vector<Timing> measure_cases(const BenchOptions& o, const std::vector<ops::OpCase>& cases,
                                  ops::OpMemory& memory, const NumericsPolicy& numerics) {
  std::vector<Timing> timings;
  for (const ops::OpCase& c : cases)
    for (const ops::PassName& pass : ops::passes_of(c.op)) {
      if (o.op.pass != "all" && o.op.pass != flag_of(pass)) continue;
      if (o.op.engine.empty())
        timings.push_back(measure(memory, c.name, pass,
                                  ops::prepare(memory, c.op, pass.kind, numerics), o.steps));
      else
        measure_engines(memory, c, pass, numerics, o, timings);
      for (Timing& t : timings) t.op.run = nullptr;  // gives plan and weights back
    }
  if (timings.empty())
    throw Error(2003, "--pass", fmt::format("\"{}\" is not a pass of {}", o.op.pass, o.op.op),
                "use --pass all to see which there are");
  return timings;
}

}  // namespace

int run_op_bench(const BenchOptions& o) {
  if (!o.op.peaks.empty()) parse_peaks(o.op.peaks);  // before a device is opened
  const auto cases = chosen_ops(o.op, o.step);
  const CommonOptions& common = o.step.common;
  const OpenDevice chosen = open_device(common, !o.step.save.empty());
  Backend& backend = *chosen.backend;
  const NumericsPolicy numerics = numerics_of(common, backend);
  const auto stream = backend.make_stream();
  const Peaks before = peaks_for(o, backend, stream->ref());
  ops::OpMemory memory(backend, stream->ref());
  std::vector<Timing> timings = measure_cases(o, cases, memory, numerics);
  const Peaks peaks =
      o.op.peaks.empty() ? merge_peaks(before, peaks_for(o, backend, stream->ref())) : before;
  for (Timing& t : timings) t.predicted = peaks.roofline(numerics.compute, t.op.flops, t.op.bytes);
  if (!o.step.save.empty()) chosen.plans->write(o.step.save);
  if (o.json) {
    nlohmann::ordered_json json = {{"device", backend.describe()},
                                   {"precision", common.precision},
                                   {"runs", o.steps},
                                   {"peaks",
                                    {{"f32_gflop_per_s", 1e-9 * peaks.f32},
                                     {"bf16_gflop_per_s", 1e-9 * peaks.bf16},
                                     {"gb_per_s", 1e-9 * peaks.memory},
                                     {"apart", peaks.apart}}}};
    for (const Timing& t : timings) json["ops"].push_back(json_of(t));
    fmt::print("{}\n", json.dump());
    return 0;
  }
  fmt::print(
      "{} on {}, median of {}; peaks {:.1f} GFLOP/s in f32, {:.1f} in bf16, {:.1f} GB/s ({})\n",
      common.precision, backend.describe(), o.steps, 1e-9 * peaks.f32, 1e-9 * peaks.bf16,
      1e-9 * peaks.memory, peaks_source(peaks));
  print_table(timings);
  return 0;
}

}  // namespace ft::app
