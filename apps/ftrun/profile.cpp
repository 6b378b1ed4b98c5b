// ftrun profile: where the time of a step goes.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "apps/ftrun/commands.h"
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
  Run(SyntheticStep& step, Backend& backend, StreamRef s)
      : step_(step),
        backend_(backend),
        s_(s),
        profiler_(backend, step.compiled(), s),
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

void write(const std::string& file, const std::string& text) {
  if (file.empty()) return;
  write_atomically(file, text);
  fmt::print("written {}\n", file);
}

}  // namespace

int run_profile(const ProfileOptions& o) {
  const StepOptions& step = o.step;
  Peaks peaks;
  if (!o.peaks.empty()) peaks = parse_peaks(o.peaks);
  const double load = machine_load();
  find_model(step.model);  // before a device is opened
  const ChosenBackend chosen = choose_backend(step.common.device, {step.common.threads});
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  SyntheticStep synthetic(step, backend, stream->ref());
  const auto measured = [&] {
    return measure_peaks(backend, stream->ref(), step.common.precision == "tf32");
  };
  if (o.peaks.empty()) peaks = measured();

  Run run(synthetic, backend, stream->ref());
  run.plain();
  run.observed();
  std::vector<StepRecord> records;
  std::vector<double> plain;
  {
    Progress progress("profiling", o.steps);
    for (int64_t i = 0; i < o.steps; ++i) {
      plain.push_back(run.plain());
      records.push_back(run.observed());
      progress.update(i + 1);
    }
  }
  if (o.peaks.empty()) peaks = merge_peaks(peaks, measured());
  const InputRecipe& recipe = synthetic.network().recipe;
  const ProfileReport report =
      make_report({step.model, step.mode, step.common.precision, backend.describe(),
                   frozen_text(step), step.batch, recipe.height, recipe.width, load},
                  peaks, run.rows(), std::move(records), std::move(plain));
  fmt::print("{}", profile_text(report));
  write(o.csv, profile_csv(report));
  write(o.json, profile_json(report));
  write(o.trace, profile_trace(report));
  return 0;
}

}  // namespace ft::app
