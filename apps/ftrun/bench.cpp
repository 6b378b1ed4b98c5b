// ftrun bench: time of a training or inference step on synthetic input.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/synthetic_step.h"

namespace ft::app {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

int run_bench(const BenchOptions& o) {
  const OpOptions& op = o.op;
  if (!op.shape.empty() || op.pass != "all" || op.filters || op.kernel || op.stride || op.pad ||
      op.groups || !op.peaks.empty() || !op.engine.empty())
    throw Error(2002, "--op", "settings of an op are given without an op", "give --op, too");
  const StepOptions& step = o.step;
  find_model(step.model);  // before a device is opened
  const OpenDevice chosen = open_device(step.common, !step.save.empty());
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  const auto start = Clock::now();
  SyntheticStep synthetic(step, backend, stream->ref());
  const double setup_s = std::chrono::duration<double>(Clock::now() - start).count();
  std::vector<double> seconds;
  for (int64_t i = -2; i < o.steps; ++i) {  // the first two warm up
    const auto before = Clock::now();
    synthetic.run(stream->ref());
    backend.synchronize(stream->ref());
    if (i >= 0) seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  if (!step.save.empty()) chosen.plans->write(step.save);
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double rate = static_cast<double>(step.batch) / median;
  if (o.json) {
    const nlohmann::json json = {{"model", step.model},
                                 {"mode", step.mode},
                                 {"batch", step.batch},
                                 {"precision", step.common.precision},
                                 {"head_only", step.head_only},
                                 {"device", backend.describe()},
                                 {"images_per_s", rate},
                                 {"step_ms", 1e3 * median},
                                 {"step_ms_min", 1e3 * seconds.front()},
                                 {"step_ms_max", 1e3 * seconds.back()},
                                 {"setup_s", setup_s},
                                 {"arena_bytes", synthetic.arena().bytes()},
                                 {"peak_bytes", static_cast<int64_t>(usage.ru_maxrss) * 1024}};
    fmt::print("{}\n", json.dump());
    return 0;
  }
  const std::string plans = chosen.plans ? chosen.plans->account() : "";
  if (!plans.empty()) fmt::print("plans of {}\n", plans);
  fmt::print("{} {} batch {} {}{} on {}\n", step.model, step.mode, step.batch,
             step.common.precision, step.head_only ? ", head only" : "", backend.describe());
  fmt::print(
      "{:.1f} images/s; a step {:.1f} ms (median of {}; {:.1f} to {:.1f}); setup {}; arena {}; "
      "peak memory {}\n",
      rate, 1e3 * median, o.steps, 1e3 * seconds.front(), 1e3 * seconds.back(),
      duration_text(setup_s), bytes_text(static_cast<double>(synthetic.arena().bytes())),
      bytes_text(1024.0 * static_cast<double>(usage.ru_maxrss)));
  return 0;
}

}  // namespace ft::app
