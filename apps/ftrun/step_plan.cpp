// Steps that are compiled and walked, but not computed.
#include "apps/ftrun/step_plan.h"

#include <algorithm>
#include <functional>

namespace ft::app {
namespace {

// Takes down every piece of work as it passes.
class Walk final : public Observer {
 public:
  Walk(const CompiledGraph& compiled, const Peaks& peaks) : compiled_(compiled), peaks_(peaks) {}

  void observe(When when, Work work, const CompiledNode& node, const Pass& pass) override {
    if (when == When::after) add(describe_work(compiled_, work, node, pass));
  }

  void add(const WorkRow& work) {
    rows.push_back({work, peaks_.roofline(work.dtype, work.flops, work.bytes),
                    work.bytes / peaks_.memory >= work.flops / peaks_.flops(work.dtype)});
  }

  std::vector<PlanRow> rows;

 private:
  const CompiledGraph& compiled_;
  const Peaks& peaks_;
};

MemoryPlan memory_of(const SyntheticStep& step, const plan::PlanningBackend& backend) {
  MemoryPlan m;
  m.parameters = step.network().parameters->values().bytes();
  m.gradients = step.network().parameters->gradients().bytes();
  m.velocity = step.velocity().bytes();
  m.arena = step.arena().bytes();
  m.unshared = step.compiled().unplanned_bytes();
  m.pixels = step.pixels().bytes();
  for (const CompiledNode& node : step.compiled().nodes())
    m.largest_workspace = std::max(m.largest_workspace, node.plan.workspace_bytes);
  // What else was allocated are folded weights, and a few bytes of step state.
  m.copies = backend.kept_bytes() + (backend.allocated_bytes() - m.total());
  return m;
}

// The largest value of (low, high] that is good, or low; what is above a bad one is bad.
int64_t bisect(int64_t low, int64_t high, const std::function<bool(int64_t)>& good) {
  if (high > low && good(high)) return high;
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (good(middle) ? low : high) = middle;
  }
  return low;
}

}  // namespace

StepPlan plan_step(const StepOptions& o, const plan::PlanningOptions& planning,
                   const Peaks& peaks) {
  plan::PlanningBackend backend(planning);
  SyntheticStep step(o, backend);
  StepPlan p;
  p.height = step.network().recipe.height;
  p.width = step.network().recipe.width;
  p.memory = memory_of(step, backend);
  p.refusals = backend.refusals();
  p.convolutions = backend.convolutions();
  Walk walk(step.compiled(), peaks);
  const auto executor = step.make_executor();
  executor->add_observer(&walk);
  const auto stream = backend.make_stream();
  walk.add(step.normalize_row());
  executor->forward(stream->ref());
  if (step.training()) {
    executor->backward(stream->ref());
    walk.add(step.update_row());
  }
  p.rows = std::move(walk.rows);
  return p;
}

int64_t largest_batch(const StepOptions& options, const plan::PlanningOptions& planning,
                      size_t bytes, int64_t most) {
  const auto fits = [&](int64_t batch, const plan::PlanningOptions& how) {
    StepOptions o = options;
    o.batch = batch;
    plan::PlanningBackend backend(how);
    try {
      const SyntheticStep step(o, backend);
      return memory_of(step, backend).total() <= bytes && backend.refusals().empty();
    } catch (const Error&) {
      return false;  // a single image may be too few for batch statistics
    }
  };
  // Two bounds that cost little: with the most workspace, and with none.
  const auto with_workspace = [&](size_t workspace) {
    return [&fits, how = plan::PlanningOptions{nullptr, workspace, planning.has_bf16}](
               int64_t batch) { return fits(batch, how); };
  };
  const auto sure = with_workspace(plan::convolution_workspace_limit());
  if (planning.engines == nullptr) return bisect(0, most, sure);
  const int64_t loose = bisect(0, most, with_workspace(0)), low = bisect(0, loose, sure);
  const auto asked = [&](int64_t batch) { return fits(batch, planning); };
  return low > 0 && asked(low) ? bisect(low, loose, asked) : bisect(0, loose, asked);
}

}  // namespace ft::app
