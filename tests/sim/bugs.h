// Kernels with one planted bug each, and the same without it: what the simulated device has to find.
#pragma once

#include <cuda_runtime_api.h>

namespace sim {

enum class Bug {
  none,                     // sums of 128 floats a block
  missing_barrier,          // between write and read of shared memory
  shared_reused_too_early,  // a second sum overwrites the parts of the first
  shared_past_the_end,
  out_of_bounds,        // one element past the end of `out`
  race_between_blocks,  // all blocks work on one cell
  barrier_in_branch,
  shuffle_after_return,
};

// x holds blocks * 128 floats; out one a block, or as many as x for out_of_bounds.
void run_bug(Bug bug, cudaStream_t s, const float* x, float* out, int blocks);

// to[0] += factor * from[0], for streams and graphs.
void add_scaled(cudaStream_t s, float* to, const float* from, float factor);

}  // namespace sim
