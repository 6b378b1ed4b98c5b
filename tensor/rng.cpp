// Philox4x32-10 and what is drawn from it.
#include "tensor/rng.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

#include "tensor/error.h"

namespace ft {

namespace {

// The ten rounds, in place.
inline void philox(uint32_t& c0, uint32_t& c1, uint32_t& c2, uint32_t& c3, uint32_t k0,
                   uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c0;
    const uint64_t b = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ k0;
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(b);
    c3 = static_cast<uint32_t>(a);
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
}

}  // namespace

std::array<uint32_t, 4> philox4x32(const std::array<uint32_t, 4>& counter,
                                   const std::array<uint32_t, 2>& key) {
  std::array<uint32_t, 4> c = counter;
  philox(c[0], c[1], c[2], c[3], key[0], key[1]);
  return c;
}

Rng::Rng(uint64_t seed, RngPurpose purpose, uint64_t epoch, uint64_t sample)
    : key_{static_cast<uint32_t>(seed) ^ (static_cast<uint32_t>(purpose) * 0x9E3779B9u),
           static_cast<uint32_t>(seed >> 32)},
      epoch_(epoch),
      sample_(sample) {}

std::array<uint32_t, 4> Rng::block(uint64_t block) const {
  return philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>((block >> 32) ^ epoch_),
                     static_cast<uint32_t>(sample_), static_cast<uint32_t>(sample_ >> 32)},
                    key_);
}

uint32_t Rng::bits(uint64_t index) const { return block(index / 4)[index % 4]; }

float Rng::uniform(uint64_t index) const {
  return static_cast<float>(bits(index) >> 8) * (1.0f / 16777216.0f);
}

namespace {

// The loop below for what the machine has. The numbers are the same everywhere, since every operation is rounded
// as IEEE 754 says and none is fused. Sanitizers do not survive a choice at load time.
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define FT_FOR_EACH_MACHINE [[gnu::target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")]]
#else
#define FT_FOR_EACH_MACHINE
#endif

// As the conversion gives it, in a form that becomes a vector.
inline double to_double(uint32_t v) {
  return std::bit_cast<double>(0x4330000000000000 | uint64_t{v}) - 0x1p52;
}

// Natural logarithm of a normal number above 0, within two units in the last place: x = m * 2^e with m in
// [sqrt(1/2), sqrt(2)), and log m = 2 artanh((m - 1) / (m + 1)), whose series may end at the 21st power.
inline double logarithm(double x) {
  constexpr uint64_t kRootHalf = 0x3FE6A09E667F3BCD, kFraction = 0x000FFFFFFFFFFFFF;
  const uint64_t bits = std::bit_cast<uint64_t>(x) - kRootHalf;
  const double e = to_double(static_cast<uint32_t>(((bits >> 52) + 2048) & 4095)) - 2048;
  const double m = std::bit_cast<double>((bits & kFraction) + kRootHalf);
  const double s = (m - 1) / (m + 1), z = s * s;
  double series = 1.0 / 21;
#pragma GCC unroll 10
  for (int k = 19; k >= 1; k -= 2) series = series * z + 1.0 / k;
  return e * std::numbers::ln2 + 2 * s * series;
}

// cos(2 pi v) for v in [0, 1]: whole quarters of the turn, and the series of sine and cosine for the rest.
inline double cosine_of_turn(double v) {
  const double biased = 4 * v + 0x1.8p52;  // rounds; the quarter stands in the last bits
  const uint64_t quarter = std::bit_cast<uint64_t>(biased);
  const double r = (4 * v - (biased - 0x1.8p52)) * (std::numbers::pi / 2), z = r * r;
  double cosine = 1, sine = 1;
#pragma GCC unroll 9
  for (int k = 18; k >= 2; k -= 2) {
    cosine = 1 - cosine * z * (1.0 / (k * (k - 1)));
    sine = 1 - sine * z * (1.0 / (k * (k + 1)));
  }
  const double value = (quarter & 1) != 0 ? r * sine : cosine;
  const uint64_t minus = ((quarter + 1) & 2) << 62;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(value) ^ minus);
}

// Box & Muller 1958, one of the two.
inline double box_muller(uint32_t a, uint32_t b) {
  const double u = (to_double(a) + 0.5) * 0x1p-32, v = (to_double(b) + 0.5) * 0x1p-32;
  return std::sqrt(-2.0 * logarithm(u)) * cosine_of_turn(v);
}

constexpr int kBlocks = 64;  // drawn at a time

// 2 * kBlocks numbers of the blocks from c0[i], c1[i] on, each with the upper half c2, c3 of the counter.
FT_FOR_EACH_MACHINE void normals(uint32_t (&c0)[kBlocks], uint32_t (&c1)[kBlocks], uint64_t sample,
                                 const std::array<uint32_t, 2>& key, double deviation,
                                 float* values) {
  uint32_t c2[kBlocks], c3[kBlocks];
  for (int i = 0; i < kBlocks; ++i) {
    c2[i] = static_cast<uint32_t>(sample);
    c3[i] = static_cast<uint32_t>(sample >> 32);
    philox(c0[i], c1[i], c2[i], c3[i], key[0], key[1]);
  }
  float even[kBlocks], odd[kBlocks];
  for (int i = 0; i < kBlocks; ++i)
    even[i] = static_cast<float>(deviation * box_muller(c0[i], c1[i]));
  for (int i = 0; i < kBlocks; ++i)
    odd[i] = static_cast<float>(deviation * box_muller(c2[i], c3[i]));
  for (int i = 0; i < kBlocks; ++i) values[2 * i] = even[i], values[2 * i + 1] = odd[i];
}

}  // namespace

double Rng::normal(uint64_t index) const {
  return box_muller(bits(2 * index), bits(2 * index + 1));
}

void fill_normal(const Rng& rng, double deviation, float* values, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; i += 2 * kBlocks) {
    uint32_t c0[kBlocks], c1[kBlocks];
    for (uint64_t k = 0; k < kBlocks; ++k) {
      const uint64_t block = static_cast<uint64_t>(i) / 2 + k;
      c0[k] = static_cast<uint32_t>(block);
      c1[k] = static_cast<uint32_t>((block >> 32) ^ rng.epoch_);
    }
    if (i + 2 * kBlocks <= last) {
      normals(c0, c1, rng.sample_, rng.key_, deviation, values + i);
    } else {
      float rest[2 * kBlocks];
      normals(c0, c1, rng.sample_, rng.key_, deviation, rest);
      std::copy_n(rest, last - i, values + i);
    }
  }
}

uint32_t Rng::below(uint64_t index, uint32_t bound) const {
  return static_cast<uint32_t>((uint64_t{bits(index)} * bound) >> 32);
}

std::vector<uint32_t> permutation(uint32_t count, uint64_t seed, RngPurpose purpose,
                                  uint64_t epoch) {
  std::vector<uint32_t> order(count);
  for (uint32_t i = 0; i < count; ++i) order[i] = i;
  const Rng rng(seed, purpose, epoch);
  for (uint32_t i = count; i > 1; --i) std::swap(order[i - 1], order[rng.below(i, i)]);
  return order;
}

}  // namespace ft
