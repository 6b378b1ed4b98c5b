// Dropout: the mask is drawn again in either pass, sixteen Philox blocks at a time in the vector
// unit.
#include <algorithm>
#include <cmath>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"
#include "tensor/ops/pointwise.h"
#include "tensor/rng.h"

namespace ft {
namespace {

using cpu::MaskKey;

constexpr int64_t kPiece = 1024;  // elements of a plain sample that are drawn in one go

MaskKey key_of(const DropoutSpec& spec, const StepState& state, int64_t n) {
  MaskKey key;
  key.key[0] =
      static_cast<uint32_t>(state.seed) ^ static_cast<uint32_t>(RngPurpose::dropout) * 0x9E3779B9u;
  key.key[1] = static_cast<uint32_t>(state.seed >> 32);
  key.epoch = static_cast<uint32_t>(state.step);
  key.sample[0] = static_cast<uint32_t>(state.sample_offset + static_cast<uint64_t>(n));
  key.sample[1] = spec.node;
  // uniform(i) = (bits >> 8) / 2^24 >= p, in whole numbers.
  key.threshold = static_cast<uint32_t>(std::ceil(spec.p * 16777216.0));
  key.scale = static_cast<float>(1 / (1 - spec.p));
  return key;
}

// Plain samples: memory order is logical order.
template <class T>
void drop_plain(const CpuBackend& backend, const DropoutSpec& spec, const StepState& state,
                const Tensor& x, const Tensor& y) {
  const int64_t per_sample = x.shape().per_sample();
  const int64_t pieces = (per_sample + kPiece - 1) / kPiece;
  const cpu::ElementKernels<T>& kernels = backend.kernels();
  cpu::parallel_for(backend.threads(), x.shape().n() * pieces, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / pieces, first = i % pieces * kPiece, at = n * per_sample + first;
      kernels.dropout(key_of(spec, state, n), first, std::min(first + kPiece, per_sample),
                      cpu::data_of<T>(x) + at, cpu::data_of<T>(y) + at, 1);
    }
  });
}

// Other layouts: a channel is logically contiguous and lies `stride` apart.
template <class T>
void drop_lanes(const CpuBackend& backend, const DropoutSpec& spec, const StepState& state,
                const Tensor& x, const Tensor& y) {
  const cpu::Lanes v(x.spec());
  const cpu::ElementKernels<T>& kernels = backend.kernels();
  cpu::parallel_for(backend.threads(), v.n * v.blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n = i / v.blocks, block = i % v.blocks;
      const T* from = cpu::data_of<T>(x) + v.offset(n, block);
      T* to = cpu::data_of<T>(y) + v.offset(n, block);
      const MaskKey key = key_of(spec, state, n);
      for (int64_t l = 0; l < v.used(block); ++l) {
        const int64_t first = (block * v.width + l) * v.positions;
        kernels.dropout(key, first, first + v.positions, from + l, to + l, v.stride);
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
      drop_plain<T>(*this, spec, now, x, y);
    else
      drop_lanes<T>(*this, spec, now, x, y);
  });
}

}  // namespace ft
