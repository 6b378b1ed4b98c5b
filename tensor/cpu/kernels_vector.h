// Vectors of W channels in f32, whatever the elements in memory are. For kernels.cpp alone, which
// is compiled with wide instructions: everything here is local to it.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "tensor/cpu/kernels.h"

namespace ft::cpu {
namespace {

template <int W>
struct Vector {
  typedef float F __attribute__((vector_size(4 * W)));
  typedef int32_t I __attribute__((vector_size(4 * W)));
  typedef uint32_t U __attribute__((vector_size(4 * W)));
  typedef uint16_t H __attribute__((vector_size(2 * W)));
  typedef double D __attribute__((vector_size(8 * W)));
};

template <int W>
using Floats = typename Vector<W>::F;
template <int W>
using Doubles = typename Vector<W>::D;
template <int W>
using Ints = typename Vector<W>::I;

template <int W>
[[gnu::always_inline]] inline Floats<W> load(const float* from) {
  Floats<W> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <int W>
[[gnu::always_inline]] inline Floats<W> load(const Bf16* from) {
  typename Vector<W>::H bits;
  __builtin_memcpy(&bits, from, sizeof bits);
  return (Floats<W>)(__builtin_convertvector(bits, typename Vector<W>::U) << 16);
}

template <int W>
[[gnu::always_inline]] inline Doubles<W> load(const double* from) {
  Doubles<W> v;
  __builtin_memcpy(&v, from, sizeof v);
  return v;
}

template <int W>
[[gnu::always_inline]] inline Doubles<W> doubles(const Floats<W>& v) {
  return __builtin_convertvector(v, Doubles<W>);
}

template <int W>
[[gnu::always_inline]] inline void store(double* to, const Doubles<W>& v) {
  __builtin_memcpy(to, &v, sizeof v);
}

template <int W>
[[gnu::always_inline]] inline void store(float* to, const Floats<W>& v) {
  __builtin_memcpy(to, &v, sizeof v);
}

// To the nearest, ties to even; not-a-number stays one: to_bf16 of tensor/dtype.h. The instruction
// of newer processors differs in one point: it takes numbers below 2^-126 for zero.
template <int W>
[[gnu::always_inline]] inline void store(Bf16* to, const Floats<W>& v) {
#ifdef __AVX512BF16__
  if constexpr (W == 16) {
    const auto half = _mm512_cvtneps_pbh((__m512)v);
    __builtin_memcpy(to, &half, sizeof half);
    return;
  }
#endif
  using U = typename Vector<W>::U;
  const U bits = (U)v;
  const U rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  const U kept = v == v ? rounded : (bits >> 16 | 0x40);
  const auto half = __builtin_convertvector(kept, typename Vector<W>::H);
  __builtin_memcpy(to, &half, sizeof half);
}

// Max(0, v); not-a-number stays what it is, so that a broken step is seen in the loss.
template <int W>
[[gnu::always_inline]] inline Floats<W> relu(const Floats<W>& v) {
  return v <= 0 ? Floats<W>{} : v;
}

// 1 << lane.
template <int W>
[[gnu::always_inline]] inline Ints<W> lane_bits() {
  Ints<W> v{};
  for (int l = 0; l < W; ++l) v[l] = 1 << l;
  return v;
}

// Bit l of the result is set where lane l is true (-1). Halves are or-ed until one lane is left.
template <int W>
[[gnu::always_inline]] inline int32_t pack_lanes(const Ints<W>& bits) {
  if constexpr (W == 1) {
    return bits[0];
  } else {
    Ints<W / 2> half[2];
    __builtin_memcpy(half, &bits, sizeof bits);
    return pack_lanes<W / 2>(half[0] | half[1]);
  }
}

template <int W>
[[gnu::always_inline]] inline uint16_t bits_of(const Ints<W>& condition) {
#ifdef __AVX512DQ__
  if constexpr (W == 16) return _mm512_movepi32_mask((__m512i)condition);
#endif
  return (uint16_t)pack_lanes<W>(condition & lane_bits<W>());
}

template <int W>
[[gnu::always_inline]] inline Ints<W> lanes_of(uint16_t bits) {
  return ((Ints<W>{} + bits) & lane_bits<W>()) != 0;
}

}  // namespace
}  // namespace ft::cpu
