// The one way in which the CUDA backend starts a kernel, and the grids that it starts them with.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "tensor/cuda/handles.h"

namespace ft::cuda {

// Queues kernel(args...) on `stream`; arguments are converted to the kernel's types. Throws Error 303x if the launch
// is refused.
template <class... P, class... A>
void launch(cudaStream_t stream, dim3 grid, dim3 block, void (*kernel)(P...), A... args) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.stream = stream;
  FT_CUDA(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...));
}

constexpr unsigned kBlock = 256;  // threads of an element-wise block

// Blocks for `items` work items in a grid-stride loop: enough to fill any GPU, few enough to loop. At least one.
inline dim3 blocks_for(int64_t items) {
  constexpr int64_t kMost = 4096;
  return dim3(static_cast<unsigned>(std::clamp<int64_t>((items + kBlock - 1) / kBlock, 1, kMost)));
}

// First item and stride of the calling thread in such a loop.
__device__ inline int64_t first_item() { return int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }
__device__ inline int64_t item_stride() { return int64_t{gridDim.x} * blockDim.x; }

}  // namespace ft::cuda
