// Inner loops of pooling. Backward gathers: each input position adds up the windows that hold it,
// so that nothing is zeroed first and sums run in f32 and in a fixed order. For kernels.cpp alone.
#pragma once

#include "tensor/cpu/kernels_vector.h"

namespace ft::cpu {
namespace {

// Place of the first column of row h in the window of output (p,q), for column 0 of the input.
[[gnu::always_inline]] inline int64_t place_of_row(const PoolWindows& v, int64_t p, int64_t q,
                                                   int64_t h) {
  const int64_t r = h - (p * v.rows.stride - v.rows.pad);
  return r * v.columns.size - (q * v.columns.stride - v.columns.pad);
}

[[gnu::always_inline]] inline float inverse_area(const Range& rows, const Range& columns) {
  return 1.f / (float)((rows.end - rows.begin) * (columns.end - columns.begin));
}

// The first maximum in row-major order. Not-a-number beats every number: its lanes are gathered
// beside, off the chain from one comparison to the next.
template <class T, int W, bool kPlace, int kSide = 0>
[[gnu::always_inline]] inline void max_window(const PoolWindows& v, int64_t p, int64_t q,
                                              const T* x, T* y, uint16_t* place) {
  const Range rows = v.rows.inputs[p], columns = v.columns.inputs[q];
  Floats<W> best = load<W>(x + (rows.begin * v.columns.in + columns.begin) * v.stride);
  Ints<W> unordered = best != best;
  Ints<W> where = Ints<W>{} + (int32_t)(place_of_row(v, p, q, rows.begin) + columns.begin);
  const int64_t bottom = kSide == 0 ? rows.end : rows.begin + kSide;
  const int64_t right = kSide == 0 ? columns.end : columns.begin + kSide;
  for (int64_t h = rows.begin; h < bottom; ++h) {
    const T* row = x + h * v.columns.in * v.stride;
    const int64_t first = place_of_row(v, p, q, h);
    for (int64_t w = columns.begin; w < right; ++w) {
      const Floats<W> value = load<W>(row + w * v.stride);
      const Ints<W> wins = value > best;
      unordered |= value != value;
      if constexpr (kPlace) where = wins ? Ints<W>{} + (int32_t)(first + w) : where;
      best = wins ? value : best;
    }
  }
  const int64_t at = p * v.columns.out + q;
  store<W>(y + at * v.stride, unordered ? Floats<W>{} + __builtin_nanf("") : best);
  if constexpr (kPlace) {
    const auto narrow = __builtin_convertvector(where, typename Vector<W>::H);
    __builtin_memcpy(place + at * W, &narrow, sizeof narrow);
  }
}

template <class T, int W, bool kPlace>
[[gnu::always_inline]] inline void max_windows(const PoolWindows& v, const T* x, T* y,
                                               uint16_t* place) {
  const auto is = [](const Range& r, int32_t size) { return r.end - r.begin == size; };
  for (int64_t p = 0; p < v.rows.out; ++p)
    for (int64_t q = 0; q < v.columns.out; ++q) {
      const Range rows = v.rows.inputs[p], columns = v.columns.inputs[q];
      if (is(rows, 3) && is(columns, 3))
        max_window<T, W, kPlace, 3>(v, p, q, x, y, place);
      else if (is(rows, 2) && is(columns, 2))
        max_window<T, W, kPlace, 2>(v, p, q, x, y, place);
      else
        max_window<T, W, kPlace>(v, p, q, x, y, place);
    }
}

template <class T, int W>
void pool_max(const PoolWindows& v, const T* x, T* y, uint16_t* place) {
  if (place == nullptr) return max_windows<T, W, false>(v, x, y, place);
  max_windows<T, W, true>(v, x, y, place);
}

template <class T, int W>
void pool_max_backward(const PoolWindows& v, const T* dy, const uint16_t* place, T* dx) {
  for (int64_t h = 0; h < v.rows.in; ++h) {
    const Range rows = v.rows.outputs[h];
    for (int64_t w = 0; w < v.columns.in; ++w) {
      const Range columns = v.columns.outputs[w];
      Floats<W> sum = {};
      for (int64_t p = rows.begin; p < rows.end; ++p)
        for (int64_t q = columns.begin; q < columns.end; ++q) {
          const int64_t at = p * v.columns.out + q;
          typename Vector<W>::H narrow;
          __builtin_memcpy(&narrow, place + at * W, sizeof narrow);
          const Ints<W> where = __builtin_convertvector(narrow, Ints<W>);
          const Floats<W> d = load<W>(dy + at * v.stride);
          sum += where == (int32_t)(place_of_row(v, p, q, h) + w) ? d : Floats<W>{};
        }
      store<W>(dx + (h * v.columns.in + w) * v.stride, sum);
    }
  }
}

template <class T, int W>
void pool_average(const PoolWindows& v, const T* x, T* y) {
  for (int64_t p = 0; p < v.rows.out; ++p)
    for (int64_t q = 0; q < v.columns.out; ++q) {
      const Range rows = v.rows.inputs[p], columns = v.columns.inputs[q];
      Floats<W> sum = {};
      for (int64_t h = rows.begin; h < rows.end; ++h)
        for (int64_t w = columns.begin; w < columns.end; ++w)
          sum += load<W>(x + (h * v.columns.in + w) * v.stride);
      store<W>(y + (p * v.columns.out + q) * v.stride, sum * inverse_area(rows, columns));
    }
}

template <class T, int W>
void pool_average_backward(const PoolWindows& v, const T* dy, T* dx) {
  for (int64_t h = 0; h < v.rows.in; ++h)
    for (int64_t w = 0; w < v.columns.in; ++w) {
      const Range rows = v.rows.outputs[h], columns = v.columns.outputs[w];
      Floats<W> sum = {};
      for (int64_t p = rows.begin; p < rows.end; ++p)
        for (int64_t q = columns.begin; q < columns.end; ++q)
          sum += load<W>(dy + (p * v.columns.out + q) * v.stride) *
                 inverse_area(v.rows.inputs[p], v.columns.inputs[q]);
      store<W>(dx + (h * v.columns.in + w) * v.stride, sum);
    }
}

}  // namespace
}  // namespace ft::cpu
