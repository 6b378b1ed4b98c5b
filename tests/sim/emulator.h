// Lets a .cu file be compiled by an ordinary C++20 compiler and its kernels run on the host. The test build forces this
// header into every source of the backend; the sources hold no trace of it. Kernels see their indices as objects, start
// through launch_kernel, and meet each other in barriers and warp functions: see emulator.cpp. One thread at a time.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <tuple>
#include <type_traits>
#include <vector>

// Set by the scheduler. Objects, not macros: cudaLaunchConfig_t has members of such names.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace sim {

enum class WarpOp { sync, shuffle, ballot };

// A place in a kernel (std::source_location, which older compilers lack).
struct Site {
  const char* file;
  unsigned line;
  static Site current(const char* f = __builtin_FILE(), unsigned l = __builtin_LINE()) {
    return {f, l};
  }
};

void block_barrier(const Site& site);
// The lanes of `mask` wait for each other, then each gets what `source` gave, or the votes.
uint64_t warp_exchange(unsigned mask, uint64_t give, unsigned source, WarpOp op, const Site& site);
unsigned lane();
// Shared memory of the calling block that is known by `key`: poisoned when first met, guard bytes behind it.
void* shared_memory(const void* key, size_t bytes);
cudaError_t enqueue_grid(const cudaLaunchConfig_t& config, std::function<void()> thread_body,
                         const std::vector<const void*>& pointers);

template <class T>
T shuffle(unsigned mask, T value, int source, int width, const Site& site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
  const int mine = static_cast<int>(lane()), first = mine / width * width;
  const bool outside =
      source < first || source >= first + width;  // then CUDA returns the own value
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = warp_exchange(mask, bits, static_cast<unsigned>(outside ? mine : source), WarpOp::shuffle,
                       site);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// Stands for CUDA's template, which would lose the kernel's signature. Arguments are copied now, as the driver
// copies them: what is to change between replays of a captured graph has to lie in device memory here as well.
template <class... P, class... A>
cudaError_t launch_kernel(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... a) {
  std::tuple<std::remove_cv_t<P>...> args(std::forward<A>(a)...);
  std::vector<const void*> pointers;
  const auto keep = [&](const auto& v) {
    if constexpr (std::is_pointer_v<std::decay_t<decltype(v)>>) pointers.push_back(v);
  };
  std::apply([&](const auto&... v) { (keep(v), ...); }, args);
  return enqueue_grid(*config, [=] { std::apply(kernel, args); }, pointers);
}

}  // namespace sim

#define cudaLaunchKernelEx ::sim::launch_kernel
#undef __shared__
#define __shared__ use_shared_array_instead_of_the_keyword

inline void __syncthreads(sim::Site s = sim::Site::current()) { sim::block_barrier(s); }
inline void __syncwarp(unsigned mask = ~0u, sim::Site s = sim::Site::current()) {
  sim::warp_exchange(mask, 0, sim::lane(), sim::WarpOp::sync, s);
}
template <class T>
T __shfl_down_sync(unsigned mask, T v, unsigned d, int width = 32,
                   sim::Site s = sim::Site::current()) {
  return sim::shuffle(mask, v, static_cast<int>(sim::lane() + d), width, s);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T v, int x, int width = 32, sim::Site s = sim::Site::current()) {
  return sim::shuffle(mask, v, static_cast<int>(sim::lane()) ^ x, width, s);
}
inline unsigned __ballot_sync(unsigned mask, bool p, sim::Site s = sim::Site::current()) {
  return static_cast<unsigned>(
      sim::warp_exchange(mask, p ? 1 : 0, sim::lane(), sim::WarpOp::ballot, s));
}

// Rounded once, never fused, as on the device; this build has -ffp-contract=off.
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fsub_rn(float a, float b) { return a - b; }
