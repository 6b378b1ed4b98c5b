// The random numbers of tensor/rng.h inside kernels: the same function, bit for bit. Source: Salmon et al. 2011,
// "Parallel random numbers: as easy as 1, 2, 3" (Philox4x32-10).
#pragma once

#include <cstdint>

#include "tensor/rng.h"

namespace ft::cuda {

struct RandomBlock {
  uint32_t word[4];
};

__host__ __device__ inline RandomBlock philox4x32(RandomBlock c, uint32_t k0, uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c.word[0];
    const uint64_t b = uint64_t{0xCD9E8D57} * c.word[2];
    c = {{static_cast<uint32_t>(b >> 32) ^ c.word[1] ^ k0, static_cast<uint32_t>(b),
          static_cast<uint32_t>(a >> 32) ^ c.word[3] ^ k1, static_cast<uint32_t>(a)}};
    k0 += 0x9E3779B9;
    k1 += 0xBB67AE85;
  }
  return c;
}

// The block of Rng(seed, purpose, epoch, sample) that holds the indices 4*block … 4*block + 3.
__host__ __device__ inline RandomBlock random_block(uint64_t seed, RngPurpose purpose,
                                                    uint64_t epoch, uint64_t sample,
                                                    uint64_t block) {
  return philox4x32({{static_cast<uint32_t>(block), static_cast<uint32_t>((block >> 32) ^ epoch),
                      static_cast<uint32_t>(sample), static_cast<uint32_t>(sample >> 32)}},
                    static_cast<uint32_t>(seed) ^ (static_cast<uint32_t>(purpose) * 0x9E3779B9u),
                    static_cast<uint32_t>(seed >> 32));
}

}  // namespace ft::cuda
