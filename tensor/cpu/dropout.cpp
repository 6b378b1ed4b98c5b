// Dropout: the mask is drawn again in either pass, sixteen Philox blocks at a time in the vector
// unit.
#include <cmath>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"
#include "tensor/ops/pointwise.h"
#include "tensor/rng.h"

namespace ft {
namespace {

using cpu::load;
using cpu::store;

constexpr int kBlocks = 16;              // Philox blocks of one batch
constexpr int64_t kBatch = 4 * kBlocks;  // numbers of one batch

// Address of the random numbers of one sample, as class Rng (tensor/rng.h) lays it out.
struct MaskKey {
  uint32_t k0, k1;     // key
  uint32_t epoch;      // xor-ed into counter word 1
  uint32_t c2, c3;     // counter words 2 and 3: the sample
  uint32_t threshold;  // keep where the top 24 bits are at least this: uniform >= p
  float scale;         // 1 / (1 - p)
};

// factors[j] = scale or 0 for logical elements first .. first + kBatch - 1; first is a multiple
// of 4.
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void draw(const MaskKey& key,
                                                                                int64_t first,
                                                                                float* factors) {
  uint32_t a[kBlocks], b[kBlocks], c[kBlocks], d[kBlocks];
  const uint64_t block = static_cast<uint64_t>(first) / 4;
  for (int i = 0; i < kBlocks; ++i) {
    const uint64_t counter = block + static_cast<uint64_t>(i);
    a[i] = static_cast<uint32_t>(counter);
    b[i] = static_cast<uint32_t>(counter >> 32) ^ key.epoch;
    c[i] = key.c2;
    d[i] = key.c3;
  }
  uint32_t k0 = key.k0, k1 = key.k1;
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < kBlocks; ++i) {
      const uint64_t p = uint64_t{0xD2511F53} * a[i], q = uint64_t{0xCD9E8D57} * c[i];
      a[i] = static_cast<uint32_t>(q >> 32) ^ b[i] ^ k0;
      c[i] = static_cast<uint32_t>(p >> 32) ^ d[i] ^ k1;
      b[i] = static_cast<uint32_t>(q);
      d[i] = static_cast<uint32_t>(p);
    }
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  for (int i = 0; i < kBlocks; ++i) {
    factors[4 * i] = (a[i] >> 8) >= key.threshold ? key.scale : 0.f;
    factors[4 * i + 1] = (b[i] >> 8) >= key.threshold ? key.scale : 0.f;
    factors[4 * i + 2] = (c[i] >> 8) >= key.threshold ? key.scale : 0.f;
    factors[4 * i + 3] = (d[i] >> 8) >= key.threshold ? key.scale : 0.f;
  }
}

MaskKey key_of(const DropoutSpec& spec, const StepState& state, int64_t n) {
  MaskKey key;
  key.k0 =
      static_cast<uint32_t>(state.seed) ^ static_cast<uint32_t>(RngPurpose::dropout) * 0x9E3779B9u;
  key.k1 = static_cast<uint32_t>(state.seed >> 32);
  key.epoch = static_cast<uint32_t>(state.step);
  key.c2 = static_cast<uint32_t>(state.sample_offset + static_cast<uint64_t>(n));
  key.c3 = spec.node;
  // uniform(i) = (bits >> 8) / 2^24 >= p, in whole numbers.
  key.threshold = static_cast<uint32_t>(std::ceil(spec.p * 16777216.0));
  key.scale = static_cast<float>(1 / (1 - spec.p));
  return key;
}

// Logical elements first .. end - 1 of a sample, `stride` apart in memory.
template <class T>
void drop(const MaskKey& key, int64_t first, int64_t end, const T* x, T* y, int64_t stride) {
  float factors[kBatch];
  for (int64_t batch = first / kBatch * kBatch; batch < end; batch += kBatch) {
    draw(key, batch, factors);
    const int64_t from = std::max(first, batch), to = std::min(end, batch + kBatch);
#pragma GCC ivdep
    for (int64_t i = from; i < to; ++i)
      store(y[(i - first) * stride], load(x[(i - first) * stride]) * factors[i - batch]);
  }
}

// Plain samples: memory order is logical order.
template <class T>
void drop_plain(int threads, const DropoutSpec& spec, const StepState& state, const Tensor& x,
                const Tensor& y) {
  const int64_t per_sample = x.shape().per_sample(), piece = 16 * kBatch;
  const int64_t pieces = (per_sample + piece - 1) / piece;
  cpu::parallel_for(threads, x.shape().n() * pieces, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / pieces, first = i % pieces * piece, at = n * per_sample + first;
      drop(key_of(spec, state, n), first, std::min(first + piece, per_sample),
           cpu::data_of<T>(x) + at, cpu::data_of<T>(y) + at, 1);
    }
  });
}

// Other layouts: a channel is logically contiguous and lies `stride` apart.
template <class T>
void drop_lanes(int threads, const DropoutSpec& spec, const StepState& state, const Tensor& x,
                const Tensor& y) {
  const cpu::Lanes v(x.spec());
  cpu::parallel_for(threads, v.n * v.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / v.blocks, block = i % v.blocks;
      const T* from = cpu::data_of<T>(x) + v.offset(n, block);
      T* to = cpu::data_of<T>(y) + v.offset(n, block);
      const MaskKey key = key_of(spec, state, n);
      for (int64_t l = 0; l < v.used(block); ++l) {
        const int64_t first = (block * v.width + l) * v.positions;
        drop(key, first, first + v.positions, from + l, to + l, v.stride);
      }
      for (int64_t l = v.used(block); l < v.width; ++l)
        for (int64_t p = 0; p < v.positions; ++p) to[p * v.stride + l] = T{};
    }
  });
}

}  // namespace

void CpuBackend::dropout(StreamRef, const DropoutSpec& spec, const Tensor& x, const Tensor& state,
                         const Tensor& y) {
  FT_CHECK(x.spec() == y.spec(), "dropout of " + x.spec().str() + " to " + y.spec().str());
  const StepState now = cpu::step_state(state);
  cpu::with_element(x.spec().dtype, [&](auto element) {
    using T = decltype(element);
    if (x.spec().layout == Layout::plain)
      drop_plain<T>(threads_, spec, now, x, y);
    else
      drop_lanes<T>(threads_, spec, now, x, y);
  });
}

}  // namespace ft
