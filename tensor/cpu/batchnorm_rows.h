// Inner loops of batch normalisation: `count` positions of one block of channels of one sample.
// W is the number of lanes (tensor/cpu/lanes.h), `stride` the distance of positions. Sums run in
// f32 over at most kChunk positions and are added up in double, so that long rows lose nothing.
#pragma once

#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft::cpu {

constexpr int64_t kChunk = 256;

// What one block of channels is multiplied with and shifted by; zero in padding lanes.
// y = (x - mean) * scale + beta, scale = gamma * inverse deviation; dx = scale * g - a - (x - mean)
// * b.
struct BnFactors {
  float mean[kMaxLanes] = {}, inverse[kMaxLanes] = {}, scale[kMaxLanes] = {}, beta[kMaxLanes] = {};
  float a[kMaxLanes] = {}, b[kMaxLanes] = {};
};

// Count, mean and sum of squared distances from the mean, of all positions so far.
struct Moments {
  double count = 0;
  double mean[kMaxLanes] = {}, m2[kMaxLanes] = {};

  // Source: Chan, Golub & LeVeque 1979, formula 2.1 for the union of two sets.
  void merge(double n, const auto& other_mean, const auto& other_m2, int lanes) {
    const double total = count + n;
    for (int l = 0; l < lanes; ++l) {
      const double delta = other_mean[l] - mean[l];
      mean[l] += delta * n / total;
      m2[l] += other_m2[l] + delta * delta * count * n / total;
    }
    count = total;
  }
};

// Sums over positions of g (dy behind the ReLU) and of g * (x - mean).
struct BnSums {
  double g[kMaxLanes] = {}, gx[kMaxLanes] = {};
};

template <class T, int W>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void bn_moments_row(
    const T* x, int64_t count, int64_t stride, Moments& moments) {
  for (int64_t first = 0; first < count; first += kChunk) {
    const int64_t n = std::min(kChunk, count - first);
    const T* from = x + first * stride;
    float sum[2][W] = {}, mean[W], m2[2][W] = {};
    for (int64_t i = 0; i + 1 < n; i += 2)
      for (int l = 0; l < W; ++l) {
        sum[0][l] += load(from[i * stride + l]);
        sum[1][l] += load(from[(i + 1) * stride + l]);
      }
    if (n % 2 != 0)
      for (int l = 0; l < W; ++l) sum[0][l] += load(from[(n - 1) * stride + l]);
    for (int l = 0; l < W; ++l) mean[l] = (sum[0][l] + sum[1][l]) / static_cast<float>(n);
    const auto square = [&](int64_t i, int l) {
      const float d = load(from[i * stride + l]) - mean[l];
      return d * d;
    };
    for (int64_t i = 0; i + 1 < n; i += 2)
      for (int l = 0; l < W; ++l) {
        m2[0][l] += square(i, l);
        m2[1][l] += square(i + 1, l);
      }
    if (n % 2 != 0)
      for (int l = 0; l < W; ++l) m2[0][l] += square(n - 1, l);
    for (int l = 0; l < W; ++l) m2[0][l] += m2[1][l];
    moments.merge(static_cast<double>(n), mean, m2[0], W);
  }
}

// y = (x - mean) * scale + beta (+ residual) (then ReLU, with a bit a lane in `mask` where y > 0).
template <class T, int W, bool kResidual, bool kRelu>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void bn_apply_row(
    const BnFactors& factors, const T* x, const T* residual, T* y, uint16_t* mask, int64_t count,
    int64_t stride) {
  const BnFactors f = factors;
  for (int64_t i = 0; i < count; ++i) {
    float v[W];
    for (int l = 0; l < W; ++l)
      v[l] = (load(x[i * stride + l]) - f.mean[l]) * f.scale[l] + f.beta[l];
    if constexpr (kResidual)
      for (int l = 0; l < W; ++l) v[l] += load(residual[i * stride + l]);
    if constexpr (kResidual && kRelu) {
      uint32_t bits = 0;
      for (int l = 0; l < W; ++l) bits |= (v[l] > 0 ? 1u : 0u) << l;
      if (mask != nullptr) mask[i] = static_cast<uint16_t>(bits);
    }
    if constexpr (kRelu)
      for (int l = 0; l < W; ++l) v[l] = v[l] <= 0 ? 0.f : v[l];
    for (int l = 0; l < W; ++l) store(y[i * stride + l], v[l]);
  }
}

// Where the gradient passes: everywhere; where the output was positive, computed again from x; or
// by bit.
enum class Gate { open, recompute, mask };

template <class T, int W, Gate kGate>
[[gnu::always_inline]] inline void bn_gate(const BnFactors& f, const T* x, const T* dy,
                                           const uint16_t* mask, int64_t i, int64_t stride,
                                           float* distance, float* g) {
  for (int l = 0; l < W; ++l) {
    distance[l] = load(x[i * stride + l]) - f.mean[l];
    g[l] = load(dy[i * stride + l]);
  }
  if constexpr (kGate == Gate::recompute)
    for (int l = 0; l < W; ++l) g[l] = distance[l] * f.scale[l] + f.beta[l] > 0 ? g[l] : 0.f;
  if constexpr (kGate == Gate::mask)
    for (int l = 0; l < W; ++l) g[l] = (mask[i] >> l & 1) != 0 ? g[l] : 0.f;
}

template <class T, int W, Gate kGate>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void bn_sums_row(
    const BnFactors& factors, const T* x, const T* dy, const uint16_t* mask, int64_t count,
    int64_t stride, BnSums& sums) {
  const BnFactors f = factors;
  for (int64_t first = 0; first < count; first += kChunk) {
    float sum_g[W] = {}, sum_gx[W] = {};
    for (int64_t i = first; i < std::min(first + kChunk, count); ++i) {
      float distance[W], g[W];
      bn_gate<T, W, kGate>(f, x, dy, mask, i, stride, distance, g);
      for (int l = 0; l < W; ++l) {
        sum_g[l] += g[l];
        sum_gx[l] += g[l] * distance[l];
      }
    }
    for (int l = 0; l < W; ++l) {
      sums.g[l] += sum_g[l];
      sums.gx[l] += sum_gx[l];
    }
  }
}

// dx = scale * g - a - (x - mean) * b; dresidual = g. Either output may be null.
template <class T, int W, Gate kGate>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void bn_backward_row(
    const BnFactors& factors, const T* x, const T* dy, const uint16_t* mask, T* dx, T* dresidual,
    int64_t count, int64_t stride) {
  const BnFactors f = factors;
  for (int64_t i = 0; i < count; ++i) {
    float distance[W], g[W], d[W];
    bn_gate<T, W, kGate>(f, x, dy, mask, i, stride, distance, g);
    for (int l = 0; l < W; ++l) d[l] = f.scale[l] * g[l] - f.a[l] - distance[l] * f.b[l];
    if (dx != nullptr)
      for (int l = 0; l < W; ++l) store(dx[i * stride + l], d[l]);
    if (dresidual != nullptr)
      for (int l = 0; l < W; ++l) store(dresidual[i * stride + l], g[l]);
  }
}

}  // namespace ft::cpu
