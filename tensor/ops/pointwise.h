// Specs of the element-wise ops; the ops are plain functions of the Backend.
#pragma once

#include <cstdint>

namespace ft {

// What a training step needs to know that changes from step to step. It lies in device memory (a u64
// tensor of kStepStateWords), so that a captured step sees new values on replay.
//   word 0  seed of the run
//   word 1  step, counted from 0 over the whole run
//   word 2  position in the batch of sample 0 of this micro-batch
//   word 3  base learning rate, an f64 bit pattern
//   word 4  1 once a loss was not finite: sgd_update() then changes nothing. Set on the device, by
//           halt_unless_finite(); a host that queues steps ahead of their losses sees it later
struct StepState {
  uint64_t seed = 0;
  uint64_t step = 0;
  uint64_t sample_offset = 0;
  double rate = 0;
  uint64_t halted = 0;
};
constexpr int64_t kStepStateWords = 5;
constexpr int64_t kStepStateInputs = 4;  // the words that a host writes for each step
static_assert(sizeof(StepState) == 8 * kStepStateWords);

// y = x * mask / (1 - p) with mask 0 with probability p. The mask of logical element i (C,H,W order) of
// the sample at batch position b is Rng(seed, dropout, step, node << 32 | b).uniform(i) >= p: the same
// for every layout, backend, micro-batch split and repetition, so backward makes it again.
struct DropoutSpec {
  double p = 0.5;
  uint32_t node = 0;  // number of the node in its graph
};

}  // namespace ft
