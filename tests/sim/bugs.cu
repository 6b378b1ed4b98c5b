// Kernels with planted bugs.
#include "tests/sim/bugs.h"

#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/shared_array.cuh"

namespace sim {
namespace {

constexpr int kThreads = 128;

// The sum of v over the block, given to all.
__device__ inline float block_sum(float v, bool barrier) {
  float* parts = ft::cuda::shared_array<float, kThreads / 32, struct BlockSum>();
  for (unsigned d = 16; d > 0; d /= 2) v += __shfl_down_sync(~0u, v, d);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = v;
  if (barrier) __syncthreads();
  v = 0;
  for (int i = 0; i < kThreads / 32; ++i) v += parts[i];
  return v;
}

__global__ void sum_kernel(const float* x, float* out, bool barrier) {
  const float s = block_sum(x[blockIdx.x * kThreads + threadIdx.x], barrier);
  if (threadIdx.x == 0) out[blockIdx.x] = s;
}

__global__ void two_sums_kernel(const float* x, float* out) {
  const float v = x[blockIdx.x * kThreads + threadIdx.x];
  const float a = block_sum(v, true), b = block_sum(2 * v, true);
  if (threadIdx.x == 0) out[blockIdx.x] = a + b;
}

__global__ void shared_past_the_end_kernel(float* out) {
  float* parts = ft::cuda::shared_array<float, kThreads, struct PastTheEnd>();
  parts[threadIdx.x + 1] = 1;
  out[blockIdx.x] = 1;
}

__global__ void out_of_bounds_kernel(float* out, int n) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i <= n) out[i] = 1;
}

__global__ void race_kernel(const float* x, float* out) {
  if (threadIdx.x == 0) out[0] = out[0] * 0.5f + x[blockIdx.x * kThreads];
}

__global__ void barrier_in_branch_kernel(float* out) {
  if (threadIdx.x < 40) {
    out[blockIdx.x] = 1;
    __syncthreads();
  }
}

__global__ void shuffle_after_return_kernel(const float* x, float* out) {
  if (threadIdx.x >= 20) return;
  const float v = x[threadIdx.x];
  const float other = __shfl_down_sync(~0u, v, 1);
  if (threadIdx.x == 0) out[0] = v + other;
}

__global__ void add_scaled_kernel(float* to, const float* from, float factor) {
  to[0] += factor * from[0];
}

}  // namespace

void run_bug(Bug bug, cudaStream_t s, const float* x, float* out, int blocks) {
  const dim3 grid(static_cast<unsigned>(blocks));
  switch (bug) {
    case Bug::none:
      return ft::cuda::launch(s, grid, kThreads, sum_kernel, x, out, true);
    case Bug::missing_barrier:
      return ft::cuda::launch(s, grid, kThreads, sum_kernel, x, out, false);
    case Bug::shared_reused_too_early:
      return ft::cuda::launch(s, grid, kThreads, two_sums_kernel, x, out);
    case Bug::shared_past_the_end:
      return ft::cuda::launch(s, grid, kThreads, shared_past_the_end_kernel, out);
    case Bug::out_of_bounds:
      return ft::cuda::launch(s, dim3(grid.x + 1), kThreads, out_of_bounds_kernel, out,
                              blocks * kThreads);
    case Bug::race_between_blocks:
      return ft::cuda::launch(s, grid, kThreads, race_kernel, x, out);
    case Bug::barrier_in_branch:
      return ft::cuda::launch(s, grid, kThreads, barrier_in_branch_kernel, out);
    case Bug::shuffle_after_return:
      return ft::cuda::launch(s, grid, kThreads, shuffle_after_return_kernel, x, out);
  }
}

void add_scaled(cudaStream_t s, float* to, const float* from, float factor) {
  ft::cuda::launch(s, 1, 1, add_scaled_kernel, to, from, factor);
}

}  // namespace sim
