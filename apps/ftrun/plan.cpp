// ftrun plan: what a step would take on a GPU that is not there.
#include <fmt/format.h>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/plan_report.h"
#include "apps/plan/engine_process.h"

namespace ft::app {
namespace {

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

}  // namespace

int run_plan(const PlanOptions& o) {
  PlanReport r;
  r.step = o.step;
  r.gpu = plan::find_gpu(o.gpu);
  choose_peaks(o, r);
  try {
    plan::EngineProcess engines(r.gpu.json);
    r.library = engines.version();
    make_plan(r, &engines);
  } catch (const plan::EnginesUnknown& e) {
    r.library.clear();
    r.why_unknown = e.what();
    make_plan(r, nullptr);
  }
  fmt::print("{}", o.json ? plan_json(r) : plan_text(r));
  return 0;
}

}  // namespace ft::app
