// What `ftrun plan` says: a table of the pieces of a step, the account of its memory, and what fits; as text and JSON.
// No state, no I/O.
#pragma once

#include <string>

#include "apps/ftrun/step_plan.h"
#include "apps/plan/gpu.h"

namespace ft::app {

// What was planned, and how.
struct PlanReport {
  StepOptions step;
  plan::Gpu gpu;
  Peaks peaks;               // of this precision
  std::string peaks_source;  // "data sheet, ..."
  std::string library;       // "cuDNN 9.19.0"; empty: nobody was asked
  std::string why_unknown;   // why nobody was asked
  StepPlan plan;
  int64_t largest_batch = 0;  // 0: none
  MemoryPlan largest;         // its memory

  bool fits() const { return plan.memory.total() <= gpu.memory_bytes; }
};

std::string plan_text(const PlanReport& report);
std::string plan_json(const PlanReport& report);

}  // namespace ft::app
