// One team of threads for everything on the CPU: OpenMP, which oneDNN uses as well. Ranges are
// split statically, so that the same work goes to the same place on every run: equal bytes every
// time. Also the element types that own loops are written for. Header only, no state.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#ifdef __SANITIZE_THREAD__
#include <thread>
#include <vector>
#endif

#include "tensor/cpu/kernels.h"
#include "tensor/dtype.h"
#include "tensor/error.h"

namespace ft::cpu {

// Calls part(0) … part(parts - 1), each on a thread of the team.
template <class Part>
void run_team(int parts, const Part& part) {
#ifdef __SANITIZE_THREAD__  // it cannot see into the OpenMP library: threads that it knows do the same
  std::vector<std::jthread> team;
  for (int i = 1; i < parts; ++i) team.emplace_back([&part, i] { part(i); });
  part(0);
#else
#pragma omp parallel for schedule(static) num_threads(parts)
  for (int i = 0; i < parts; ++i) part(i);
#endif
}

// Splits [0, count) into contiguous ranges, at most one a thread and none below `grain` items, and
// calls fn(begin, end) for each. fn does not throw. Ranges start at multiples of `grain`.
template <class Fn>
void parallel_for(int threads, int64_t count, int64_t grain, const Fn& fn) {
  if (count <= 0) return;
  const int64_t grains = (count + grain - 1) / grain;
  const int64_t parts = std::min<int64_t>(threads, grains);
  if (parts <= 1) return fn(int64_t{0}, count);
  run_team(static_cast<int>(parts), [&](int64_t i) {
    const int64_t begin = grains * i / parts * grain;
    const int64_t end = std::min(count, grains * (i + 1) / parts * grain);
    fn(begin, end);
  });
}

// Work below this many elements is not worth waking a second thread.
constexpr int64_t kGrain = 4096;

// One element, in loops that are not worth a kernel.
inline float load(float v) { return v; }
inline float load(Bf16 v) { return std::bit_cast<float>(uint32_t{v.bits} << 16); }

inline void store(float& to, float v) { to = v; }
inline void store(Bf16& to,
                  float v) {  // round to nearest even, NaN stays NaN: to_bf16 of tensor/dtype.h
  const uint32_t bits = std::bit_cast<uint32_t>(v);
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  const uint32_t nan = bits >> 16 | 0x40;
  to.bits = static_cast<uint16_t>((bits & 0x7FFFFFFF) > 0x7F800000 ? nan : rounded);
}

// Calls fn(float{}) or fn(Bf16{}).
template <class Fn>
auto with_element(DType type, const Fn& fn) {
  FT_CHECK(type == DType::f32 || type == DType::bf16, "cpu computes in f32 and bf16 only");
  return type == DType::f32 ? fn(float{}) : fn(Bf16{});
}

template <class T>
T* data_of(const auto& tensor) {
  return static_cast<T*>(tensor.data());
}

}  // namespace ft::cpu
