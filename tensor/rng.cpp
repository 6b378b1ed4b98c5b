// Philox4x32-10 and what is drawn from it.
#include "tensor/rng.h"

#include <cmath>
#include <numbers>
#include <utility>

#include "tensor/error.h"

namespace ft {

std::array<uint32_t, 4> philox4x32(const std::array<uint32_t, 4>& counter,
                                   const std::array<uint32_t, 2>& key) {
  std::array<uint32_t, 4> c = counter;
  uint32_t k0 = key[0], k1 = key[1];
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k0, static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k1, static_cast<uint32_t>(a)};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
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

// Box & Muller 1958, one of the two.
double box_muller(uint32_t a, uint32_t b) {
  const double u = (a + 0.5) / 4294967296.0, v = (b + 0.5) / 4294967296.0;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
}

}  // namespace

double Rng::normal(uint64_t index) const { return box_muller(bits(2 * index), bits(2 * index + 1)); }

void fill_normal(const Rng& rng, double deviation, float* values, int64_t first, int64_t last) {
  for (int64_t i = first; i < last; i += 2) {
    const auto words = rng.block(static_cast<uint64_t>(i) / 2);
    values[i] = static_cast<float>(deviation * box_muller(words[0], words[1]));
    if (i + 1 < last) values[i + 1] = static_cast<float>(deviation * box_muller(words[2], words[3]));
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
