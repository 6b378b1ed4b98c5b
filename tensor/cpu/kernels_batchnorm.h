// Inner loops of batch normalisation. Sums run in f32 over at most kChunk positions and are added
// up in double, so that long rows lose nothing. For kernels.cpp alone.
#pragma once

#include "tensor/cpu/kernels_vector.h"

namespace ft::cpu {
namespace {

constexpr int64_t kChunk = 256;

// Joins n more positions, given the sums of d and d^2 with d = x - shift.
// Source: Chan, Golub & LeVeque 1979, formula 2.1 for the union of two sets.
template <int W>
[[gnu::always_inline]] inline void join(BnMoments& m, double n, const Floats<W>& shift,
                                        const Floats<W>& sum, const Floats<W>& squares) {
  const double total = m.count + n, weight = n / total, cross = m.count * weight;
  const Doubles<W> mean = load<W>(m.mean), d = doubles<W>(sum) / n;
  const Doubles<W> delta = doubles<W>(shift) + d - mean;
  const Doubles<W> within = doubles<W>(squares) - d * doubles<W>(sum);
  store<W>(m.mean, mean + delta * weight);
  store<W>(m.m2, load<W>(m.m2) + within + delta * delta * cross);
  m.count = total;
}

// The shift is the mean of all positions before: what d^2 exceeds the variance by is then a part of
// the variance of all, and subtracting it loses nothing. The first chunk is read twice to have such
// a mean.
template <class T, int W>
void bn_moments(const BnRow<T>& row, BnMoments& moments) {
  for (int64_t first = 0; first < row.count; first += kChunk) {
    const int64_t n = row.count - first < kChunk ? row.count - first : kChunk;
    const T* x = row.x + first * row.stride;
    Floats<W> shift = __builtin_convertvector(load<W>(moments.mean), Floats<W>);
    if (moments.count == 0) {
      for (int64_t i = 0; i < n; ++i) shift += load<W>(x + i * row.stride);
      shift /= (float)n;
    }
    Floats<W> sum[2] = {}, squares[2] = {};
    const auto take = [&](int64_t i, int j) {
      const Floats<W> d = load<W>(x + i * row.stride) - shift;
      sum[j] += d;
      squares[j] += d * d;
    };
    int64_t i = 0;
    for (; i + 2 <= n; i += 2) {
      take(i, 0);
      take(i + 1, 1);
    }
    if (i < n) take(i, 0);
    join<W>(moments, (double)n, shift, sum[0] + sum[1], squares[0] + squares[1]);
  }
}

template <class T, int W, bool kResidual, bool kRelu>
[[gnu::always_inline]] inline void apply(const BnFactors& f, const BnRow<T>& row) {
  const Floats<W> mean = load<W>(f.mean), scale = load<W>(f.scale), beta = load<W>(f.beta);
  for (int64_t i = 0; i < row.count; ++i) {
    Floats<W> v = (load<W>(row.x + i * row.stride) - mean) * scale + beta;
    if constexpr (kResidual) v += load<W>(row.residual + i * row.stride);
    if constexpr (kResidual && kRelu)
      if (row.mask != nullptr) row.mask[i] = bits_of<W>(v > 0);
    store<W>(row.y + i * row.stride, kRelu ? relu<W>(v) : v);
  }
}

// y = (x - mean) * scale + beta (+ residual) (then ReLU).
template <class T, int W>
void bn_apply(const BnFactors& f, const BnRow<T>& row, bool relu) {
  const bool residual = row.residual != nullptr;
  if (residual && relu) return apply<T, W, true, true>(f, row);
  if (residual) return apply<T, W, true, false>(f, row);
  if (relu) return apply<T, W, false, true>(f, row);
  apply<T, W, false, false>(f, row);
}

// g = dy where the gate is open; `distance` = x - mean.
template <class T, int W, BnGate kGate>
[[gnu::always_inline]] inline Floats<W> gated(const BnRow<T>& row, int64_t i,
                                              const Floats<W>& distance, const Floats<W>& scale,
                                              const Floats<W>& beta) {
  const Floats<W> g = load<W>(row.dy + i * row.stride), zero{};
  if constexpr (kGate == BnGate::recompute) return distance * scale + beta > 0 ? g : zero;
  if constexpr (kGate == BnGate::mask) return lanes_of<W>(row.mask[i]) ? g : zero;
  return g;
}

template <class T, int W, BnGate kGate>
[[gnu::always_inline]] inline void sums(const BnFactors& f, const BnRow<T>& row, BnSums& total) {
  const Floats<W> mean = load<W>(f.mean), scale = load<W>(f.scale), beta = load<W>(f.beta);
  for (int64_t first = 0; first < row.count; first += kChunk) {
    const int64_t end = row.count - first < kChunk ? row.count : first + kChunk;
    Floats<W> sum_g = {}, sum_gx = {};
    for (int64_t i = first; i < end; ++i) {
      const Floats<W> distance = load<W>(row.x + i * row.stride) - mean;
      const Floats<W> g = gated<T, W, kGate>(row, i, distance, scale, beta);
      sum_g += g;
      sum_gx += g * distance;
    }
    store<W>(total.g, load<W>(total.g) + doubles<W>(sum_g));
    store<W>(total.gx, load<W>(total.gx) + doubles<W>(sum_gx));
  }
}

template <class T, int W>
void bn_sums(const BnFactors& f, const BnRow<T>& row, BnGate gate, BnSums& total) {
  if (gate == BnGate::mask) return sums<T, W, BnGate::mask>(f, row, total);
  if (gate == BnGate::recompute) return sums<T, W, BnGate::recompute>(f, row, total);
  sums<T, W, BnGate::open>(f, row, total);
}

template <class T, int W, BnGate kGate>
[[gnu::always_inline]] inline void backward(const BnFactors& f, const BnRow<T>& row) {
  const Floats<W> mean = load<W>(f.mean), scale = load<W>(f.scale), beta = load<W>(f.beta);
  const Floats<W> a = load<W>(f.a), b = load<W>(f.b);
  for (int64_t i = 0; i < row.count; ++i) {
    const Floats<W> distance = load<W>(row.x + i * row.stride) - mean;
    const Floats<W> g = gated<T, W, kGate>(row, i, distance, scale, beta);
    if (row.dx != nullptr) store<W>(row.dx + i * row.stride, scale * g - a - distance * b);
    if (row.dresidual != nullptr) store<W>(row.dresidual + i * row.stride, g);
  }
}

// dx = scale * g - a - (x - mean) * b; dresidual = g.
template <class T, int W>
void bn_backward(const BnFactors& f, const BnRow<T>& row, BnGate gate) {
  if (gate == BnGate::mask) return backward<T, W, BnGate::mask>(f, row);
  if (gate == BnGate::recompute) return backward<T, W, BnGate::recompute>(f, row);
  backward<T, W, BnGate::open>(f, row);
}

}  // namespace
}  // namespace ft::cpu
