// A step on a GPU that is not there: its pieces of work with engines and roofline, its memory, and the largest batch that
// fits. Everything is found by compiling the step for that GPU and running it without computing (apps/plan).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/ftrun/machine_peaks.h"
#include "apps/ftrun/synthetic_step.h"
#include "apps/plan/planning_backend.h"

namespace ft::app {

struct PlanRow {
  WorkRow work;
  double seconds = 0;       // at the roofline
  bool for_memory = false;  // memory decides, not arithmetic
};

// Bytes on the device, by what they are for.
struct MemoryPlan {
  size_t parameters = 0, gradients = 0, velocity = 0;
  size_t copies = 0;  // of weights: in 16 bits, with padded channels, with a batch-norm folded in
  size_t arena = 0;   // activations, their gradients, and workspace
  size_t largest_workspace = 0;  // part of the arena
  size_t unshared = 0;           // what the arena would be if no block shared memory
  size_t pixels = 0;
  size_t total() const { return parameters + gradients + velocity + copies + arena + pixels; }
};

struct StepPlan {
  int64_t height = 0, width = 0;
  std::vector<PlanRow> rows;  // in the order of the step
  MemoryPlan memory;
  std::vector<std::string> refusals;  // convolutions without an engine
  std::vector<Conv2dSpec> convolutions;
};

StepPlan plan_step(const StepOptions& options, const plan::PlanningOptions& planning,
                   const Peaks& peaks);

constexpr int64_t kMostImages = 65536;  // of a batch: what --batch takes

// The largest batch from 1 to `most` whose step fits `bytes` and has all engines; 0: none. Without engines to ask, every
// convolution counts the most workspace that it may take, and a larger batch may fit as well.
int64_t largest_batch(const StepOptions& options, const plan::PlanningOptions& planning,
                      size_t bytes, int64_t most = kMostImages);

}  // namespace ft::app
