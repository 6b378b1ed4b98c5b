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

uint32_t Rng::bits(uint64_t index) const {
  const uint64_t block = index / 4;
  const auto words = philox4x32(
      {static_cast<uint32_t>(block), static_cast<uint32_t>((block >> 32) ^ epoch_),
       static_cast<uint32_t>(sample_), static_cast<uint32_t>(sample_ >> 32)},
      key_);
  return words[index % 4];
}

float Rng::uniform(uint64_t index) const {
  return static_cast<float>(bits(index) >> 8) * (1.0f / 16777216.0f);
}

double Rng::normal(uint64_t index) const {
  const double u = (bits(2 * index) + 0.5) / 4294967296.0;
  const double v = (bits(2 * index + 1) + 0.5) / 4294967296.0;
  return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
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
