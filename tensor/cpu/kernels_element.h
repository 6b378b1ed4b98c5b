// Element-wise inner loops, simple enough for the compiler to vectorise. An output may be the
// memory of an input and never overlaps it otherwise: ivdep says so. For kernels.cpp alone.
#pragma once

#include "tensor/cpu/kernels_vector.h"

namespace ft::cpu {
namespace {

[[gnu::always_inline]] inline float get(float v) { return v; }
[[gnu::always_inline]] inline float get(Bf16 v) {
  return __builtin_bit_cast(float, uint32_t{v.bits} << 16);
}
[[gnu::always_inline]] inline void put(float& to, float v) { to = v; }
[[gnu::always_inline]] inline void put(Bf16& to, float v) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, v);
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  to.bits = (uint16_t)(v == v ? rounded : (bits >> 16 | 0x40));
}

template <class T>
void add(const T* a, const T* b, T* y, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) put(y[i], get(a[i]) + get(b[i]));
}

template <class T>
void relu(const T* x, T* y, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float v = get(x[i]);
    put(y[i], v <= 0 ? 0.f : v);
  }
}

template <class T>
void relu_backward(const T* y, const T* dy, T* dx, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float g = get(dy[i]);
    put(dx[i], get(y[i]) > 0 ? g : 0.f);
  }
}

template <class From, class To>
void cast(const From* x, To* y, int64_t count) {
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) put(y[i], get(x[i]));
}

template <class G>
void sgd_caffe(const SgdFactors& factors, const G* g, float* v, float* w, int64_t count) {
  const SgdFactors f = factors;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float velocity = f.momentum * v[i] + f.rate * (get(g[i]) + f.decay * w[i]);
    v[i] = velocity;
    w[i] -= velocity;
  }
}

template <class G>
void sgd_pytorch(const SgdFactors& factors, const G* g, float* v, float* w, int64_t count) {
  const SgdFactors f = factors;
#pragma GCC ivdep
  for (int64_t i = 0; i < count; ++i) {
    const float velocity = f.momentum * v[i] + (get(g[i]) + f.decay * w[i]);
    v[i] = velocity;
    w[i] -= f.rate * velocity;
  }
}

constexpr int64_t kBatch = 64;  // random numbers of one batch: 16 Philox blocks, in two vectors

// keep[j] = 1 or 0 for logical elements first .. first + 31; first is a multiple of 4.
// Eight Philox blocks side by side, each 32-bit word in a 64-bit lane; the ten rounds are those of
// tensor/rng.cpp. The four words of a block become the four bytes of one 32-bit lane.
[[gnu::always_inline]] inline void draw(const MaskKey& key, int64_t first, uint8_t* keep) {
  typedef uint64_t L __attribute__((vector_size(64)));
  const L low = L{} + 0xFFFFFFFF;
  const L block = L{0, 1, 2, 3, 4, 5, 6, 7} + (uint64_t)first / 4;
  L a = block & low, b = (block >> 32) ^ key.epoch;
  L c = L{} + key.sample[0], d = L{} + key.sample[1];
  uint32_t k0 = key.key[0], k1 = key.key[1];
  for (int round = 0; round < 10; ++round) {
    const L p = a * 0xD2511F53, q = c * 0xCD9E8D57;
    a = (q >> 32) ^ b ^ k0;
    c = (p >> 32) ^ d ^ k1;
    b = q & low;
    d = p & low;
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  const L one = L{} + 1, least = L{} + key.threshold;
  const L bytes = (one & (L)(a >> 8 >= least)) | (one & (L)(b >> 8 >= least)) << 8 |
                  (one & (L)(c >> 8 >= least)) << 16 | (one & (L)(d >> 8 >= least)) << 24;
  const auto narrow = __builtin_convertvector(bytes, Vector<8>::U);
  __builtin_memcpy(keep, &narrow, sizeof narrow);
}

template <class T>
void dropout(const MaskKey& key, int64_t first, int64_t end, const T* x, T* y, int64_t stride) {
  uint8_t keep[kBatch];
  for (int64_t batch = first / kBatch * kBatch; batch < end; batch += kBatch) {
    draw(key, batch, keep);
    draw(key, batch + kBatch / 2, keep + kBatch / 2);
    const int64_t from = first > batch ? first : batch;
    const int64_t to = end < batch + kBatch ? end : batch + kBatch;
    const uint8_t* kept = keep + (from - batch);
    const T* source = x + (from - first) * stride;
    T* target = y + (from - first) * stride;
    if (stride == 1) {
#pragma GCC ivdep
      for (int64_t i = 0; i < to - from; ++i)
        put(target[i], get(source[i]) * ((float)kept[i] * key.scale));
    } else {
      for (int64_t i = 0; i < to - from; ++i)
        put(target[i * stride], get(source[i * stride]) * ((float)kept[i] * key.scale));
    }
  }
}

}  // namespace
}  // namespace ft::cpu
