// ftrun profile: where the time of a step goes.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/profile_report.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/synthetic_step.h"
#include "io/atomic_file.h"

namespace ft::app {
namespace {

// The parts of a step that are no layers.
struct Sections {
  int upload, normalize, update;

  Sections(Profiler& profiler, const SyntheticStep& step)
      : upload(profiler.add_row(step.upload_row())),
        normalize(profiler.add_row(step.normalize_row())),
        update(step.training() ? profiler.add_row(step.update_row()) : -1) {}
};

// Steps with and without observers, in turn, so that a change of the machine meets both.
class Run {
 public:
  Run(SyntheticStep& step, Backend& backend, StreamRef s, tools::GpuTools* tools)
      : step_(step),
        backend_(backend),
        s_(s),
        profiler_(backend, step.compiled(), s, tools),
        sections_(profiler_, step),
        observed_(step.make_executor()) {
    observed_->add_observer(&profiler_);
  }

  double plain() {
    const auto begin = backend_.make_timer(), end = backend_.make_timer();
    backend_.record(s_, *begin);
    step_.run(s_);
    backend_.record(s_, *end);
    backend_.synchronize(s_);
    return backend_.seconds_between(*begin, *end);
  }

  StepRecord observed() {
    profiler_.begin_step();
    profiler_.section(sections_.upload, [&] { step_.upload(s_); });
    profiler_.section(sections_.normalize, [&] { step_.normalize(s_); });
    observed_->forward(s_);
    if (step_.training()) {
      observed_->backward(s_);
      profiler_.section(sections_.update, [&] { step_.update(s_); });
    }
    return profiler_.end_step();
  }

  const std::vector<WorkRow>& rows() const { return profiler_.rows(); }

 private:
  SyntheticStep& step_;
  Backend& backend_;
  StreamRef s_;
  Profiler profiler_;
  Sections sections_;
  std::unique_ptr<Executor> observed_;
};

double machine_load() {
  double load = 0;
  return getloadavg(&load, 1) == 1 ? load : -1;
}

// NVIDIA's tools, on a GPU: ranges in every observed step; the kernels behind them in one more step; a bracket around
// more steps, if asked for. A tool that waits for brackets shuts CUPTI out, so it is one or the other.
class GpuSide {
 public:
  GpuSide(const Backend& backend, bool capture) : capture_(capture) {
    const bool on_gpu = backend.device().kind == Device::Kind::cuda;
    if (on_gpu) tools_ = tools::open_gpu_tools(why_);
    if (capture_ && !tools_)
      throw Error(2003, "--capture-range",
                  on_gpu ? why_ : "the device is " + backend.device().str(),
                  "add --device cuda, of a build with the preset cuda");
  }

  tools::GpuTools* tools() { return tools_.get(); }

  // Steps after those that are measured.
  std::vector<tools::KernelRun> run(Run& run, int64_t steps) {
    if (!tools_) return {};
    if (capture_) {
      tools_->capture(true);
      for (int64_t i = 0; i < steps; ++i) run.observed();
      tools_->capture(false);
      return {};
    }
    why_ = tools_->record();
    if (why_.empty()) run.observed();
    return tools_->recorded();
  }

  // For the header; empty: no GPU.
  std::string text(size_t kernels, int64_t steps) const {
    if (capture_) return fmt::format("not asked for: {} more steps were bracketed instead", steps);
    if (!why_.empty()) return "not named: " + why_;
    return tools_ ? fmt::format("{} in one more step, named by CUPTI", kernels) : "";
  }

 private:
  bool capture_;
  std::string why_;
  std::unique_ptr<tools::GpuTools> tools_;
};

void write(const std::string& file, const std::string& text) {
  if (file.empty()) return;
  write_atomically(file, text);
  fmt::print("written {}\n", file);
}

// Steps with and without observers, in turn.
void measure(Run& run, int64_t steps, std::vector<StepRecord>& records,
             std::vector<double>& plain) {
  run.plain();
  run.observed();
  Progress progress("profiling", steps);
  for (int64_t i = 0; i < steps; ++i) {
    plain.push_back(run.plain());
    records.push_back(run.observed());
    progress.update(i + 1);
  }
}

}  // namespace

int run_profile(const ProfileOptions& o) {
  const StepOptions& step = o.step;
  Peaks peaks;
  if (!o.peaks.empty()) peaks = parse_peaks(o.peaks);
  const double load = machine_load();
  find_model(step.model);  // before a device is opened
  const OpenDevice chosen = open_device(step.common);
  Backend& backend = *chosen.backend;
  GpuSide gpu(backend, o.capture_range);
  const auto stream = backend.make_stream();
  SyntheticStep synthetic(step, backend, stream->ref());
  const auto measured = [&] {
    return measure_peaks(backend, stream->ref(), step.common.precision == "tf32");
  };
  if (o.peaks.empty()) peaks = measured();

  Run run(synthetic, backend, stream->ref(), gpu.tools());
  std::vector<StepRecord> records;
  std::vector<double> plain;
  measure(run, o.steps, records, plain);
  if (o.peaks.empty()) peaks = merge_peaks(peaks, measured());
  const auto kernels = gpu.run(run, o.steps);
  const InputRecipe& recipe = synthetic.network().recipe;
  ProfileReport report =
      make_report({step.model, step.mode, step.common.precision, backend.describe(),
                   frozen_text(step), step.batch, recipe.height, recipe.width, load},
                  peaks, run.rows(), std::move(records), std::move(plain));
  add_kernels(report, kernels);
  if (chosen.plans) fmt::print("plans of {}\n", chosen.plans->account());
  report.kernels = gpu.text(kernels.size(), o.steps);
  fmt::print("{}", profile_text(report));
  write(o.csv, profile_csv(report));
  write(o.json, profile_json(report));
  write(o.trace, profile_trace(report));
  return 0;
}

}  // namespace ft::app
