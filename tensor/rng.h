// Counter-based randomness: every random number is a pure function of (seed, purpose, epoch, sample,
// index). No generator state lives anywhere, so resuming, reordering and adding workers change nothing.
// Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace ft {

// What a random number is for; part of its address, so that no two uses share a stream.
// Values are stored in golden files and in other languages: never renumber.
enum class RngPurpose : uint32_t {
  init = 1,
  shuffle = 2,
  dropout = 3,
  augment = 4,
  demo_data = 5,
  test = 6,
  sample_choice = 7,
  golden = 8,
};

// One Philox4x32-10 block: 4 x 32 random bits from a 128-bit counter and a 64-bit key.
std::array<uint32_t, 4> philox4x32(const std::array<uint32_t, 4>& counter,
                                   const std::array<uint32_t, 2>& key);

// Random numbers of one (seed, purpose, epoch, sample). A value; copying it copies nothing but the address.
// The block that holds index i is philox4x32({i/4 low, i/4 high ^ epoch, sample low, sample high},
// {seed low ^ purpose * 0x9E3779B9, seed high}); index i is its word i % 4.
class Rng {
 public:
  Rng(uint64_t seed, RngPurpose purpose, uint64_t epoch = 0, uint64_t sample = 0);

  uint32_t bits(uint64_t index) const;
  // Indices 4 * block … 4 * block + 3 at once, for a quarter of the work.
  std::array<uint32_t, 4> block(uint64_t block) const;
  // In [0, 1): the top 24 bits / 2^24, exact in float.
  float uniform(uint64_t index) const;
  // Standard normal by Box-Muller from indices 2i and 2i + 1, computed in double; the same bits on every machine.
  double normal(uint64_t index) const;
  // In [0, bound), bound >= 1, from 32 bits by multiply-shift (bias below bound / 2^32).
  uint32_t below(uint64_t index, uint32_t bound) const;

 private:
  friend void fill_normal(const Rng& rng, double deviation, float* values, int64_t first,
                          int64_t last);
  std::array<uint32_t, 2> key_;
  uint64_t epoch_, sample_;
};

// values[i] = normal(i) * deviation, rounded to float, for first <= i < last; first is even.
void fill_normal(const Rng& rng, double deviation, float* values, int64_t first, int64_t last);

// A permutation of 0 … count-1 (Fisher-Yates), a function of the arguments alone. count < 2^32.
std::vector<uint32_t> permutation(uint32_t count, uint64_t seed, RngPurpose purpose,
                                  uint64_t epoch);

}  // namespace ft
