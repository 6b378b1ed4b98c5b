// ftrun plan: what a step would take on a GPU that is not there.
#include <fmt/format.h>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/plan_report.h"
#include "apps/ftrun/progress.h"
#include "apps/plan/engine_process.h"
#include "apps/plan/plan_file.h"
#include "io/atomic_file.h"

namespace ft::app {
namespace {

// The GPU in this machine, with the peaks of the stored one of that name, if there is one.
plan::Gpu gpu_here() {
  try {
    plan::Gpu gpu = plan::parse_gpu(plan::describe_device(0), "cuda:0");
    for (const std::string& name : plan::gpu_names()) {
      const plan::Gpu stored = plan::find_gpu(name);
      if (stored.name == gpu.name) gpu.peaks = stored.peaks;
    }
    return gpu;
  } catch (const plan::EnginesUnknown& e) {
    throw Error(2029, "--gpu here", fmt::format("cuDNN describes no GPU: {}", e.what()),
                "name one of those that ftrun knows, or a FILE.json");
  }
}

// Those given, else those of the description.
void choose_peaks(const PlanOptions& o, PlanReport& r) {
  r.peaks_source = "given";
  if (!o.peaks.empty()) {
    r.peaks = parse_peaks(o.peaks);
    return;
  }
  if (!r.gpu.peaks)
    throw Error(2052, o.gpu, "the description has no \"peaks\"",
                "add them, as docs/plan.md shows, or give --peaks F32,BF16,MEMORY");
  const plan::GpuPeaks& p = *r.gpu.peaks;
  r.peaks = {o.step.common.precision == "tf32" ? p.tf32 : p.f32, p.bf16, p.memory, 0};
  r.peaks_source = p.source;
}

void make_plan(PlanReport& r, plan::EngineFinder* engines) {
  const plan::PlanningOptions how{engines,
                                  engines == nullptr ? plan::convolution_workspace_limit() : 0,
                                  r.gpu.architecture >= 80};
  r.plan = plan_step(r.step, how, r.peaks);
  r.largest_batch = largest_batch(r.step, how, r.gpu.memory_bytes);
  StepOptions largest = r.step;
  largest.batch = r.largest_batch;
  if (largest.batch > 0) r.largest = plan_step(largest, how, r.peaks).memory;
}

// The plans of the step that was planned, each compiled once more.
void save_plans(const PlanReport& r, plan::EngineFinder& engines) {
  plan::PlanFile file;
  file.match(r.library, plan::device_kind(r.gpu.name, r.gpu.architecture));
  Progress progress("saving plans", static_cast<int64_t>(r.plan.convolutions.size()));
  int64_t done = 0;
  for (const Conv2dSpec& spec : r.plan.convolutions) {
    const auto save = [&](PassKind pass) {
      const plan::Engine e = engines.find(spec, pass, true);
      if (!e.refused()) file.keep(e.key, {e.name, e.workspace, e.deterministic, e.text});
    };
    save(PassKind::forward);
    if (spec.passes.backward_data) save(PassKind::backward_data);
    if (spec.passes.backward_weights) save(PassKind::backward_weights);
    progress.update(++done);
  }
  file.write(r.step.save);
}

}  // namespace

int run_plan(const PlanOptions& o) {
  PlanReport r;
  r.step = o.step;
  r.gpu = o.gpu == "here" ? gpu_here() : plan::find_gpu(o.gpu);
  if (!o.description.empty()) write_atomically(o.description, r.gpu.json);
  choose_peaks(o, r);
  try {
    plan::EngineProcess engines(r.gpu.json);
    r.library = engines.version();
    make_plan(r, &engines);
    if (!r.step.save.empty()) save_plans(r, engines);
  } catch (const plan::EnginesUnknown& e) {
    r.library.clear();
    r.why_unknown = e.what();
    if (!r.step.save.empty())
      throw Error(2003, "--save", fmt::format("there are no plans: {}", e.what()),
                  "build with the preset cuda");
    make_plan(r, nullptr);
  }
  fmt::print("{}", o.json ? plan_json(r) : plan_text(r));
  return 0;
}

}  // namespace ft::app
