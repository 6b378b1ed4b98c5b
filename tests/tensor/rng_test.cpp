// Philox against the known answers of its authors' library, and what is drawn from it.
#include "tensor/rng.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numbers>
#include <set>
#include <vector>

namespace ft {

// Known answers: Random123, kat_vectors, philox 4x32 with 10 rounds.
TEST(Rng, philox_gives_the_published_answers) {
  using A4 = std::array<uint32_t, 4>;
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (A4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (A4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (A4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, uses_do_not_share_a_stream) {
  std::set<uint32_t> seen;
  for (auto purpose : {RngPurpose::init, RngPurpose::shuffle, RngPurpose::dropout})
    for (uint64_t epoch : {0, 1})
      for (uint64_t sample : {0, 1}) seen.insert(Rng(7, purpose, epoch, sample).bits(3));
  EXPECT_EQ(seen.size(), 12u);
}

TEST(Rng, normal_has_mean_0_and_variance_1) {
  const Rng rng(1, RngPurpose::test);
  double sum = 0, squares = 0;
  const int n = 20000;
  for (int i = 0; i < n; ++i) {
    const double v = rng.normal(static_cast<uint64_t>(i));
    sum += v;
    squares += v * v;
  }
  EXPECT_NEAR(sum / n, 0, 0.03);
  EXPECT_NEAR(squares / n, 1, 0.04);
}

TEST(Rng, filling_gives_the_single_numbers) {
  const Rng rng(9, RngPurpose::init, 5, 0x1234567877);
  for (const auto& [first, last] : {std::pair{0, 31}, {0, 128}, {2, 133}, {126, 1001}}) {
    std::vector<float> values(1002, 7);
    fill_normal(rng, 0.25, values.data(), first, last);
    for (int i = 0; i < 1002; ++i)
      EXPECT_EQ(values[static_cast<size_t>(i)],
                i >= first && i < last
                    ? static_cast<float>(0.25 * rng.normal(static_cast<uint64_t>(i)))
                    : 7)
          << i;
  }
}

// Box & Muller's formula with the C library's functions, in long double.
TEST(Rng, normal_is_box_muller_to_a_few_units_in_the_last_place) {
  const Rng rng(3, RngPurpose::test);
  for (uint64_t i = 0; i < 20000; ++i) {
    const long double u = (rng.bits(2 * i) + 0.5L) / 4294967296.0L,
                      v = (rng.bits(2 * i + 1) + 0.5L) / 4294967296.0L;
    const long double radius = std::sqrt(-2 * std::log(u));
    const long double expected = radius * std::cos(2 * std::numbers::pi_v<long double> * v);
    EXPECT_NEAR(rng.normal(i), static_cast<double>(expected), 6e-16 * static_cast<double>(radius))
        << i;
  }
}

// A known answer, made by the same formulas in Python: neither machine, compiler nor C library may change it.
TEST(Rng, normal_has_the_same_bits_everywhere) {
  const Rng rng(1, RngPurpose::init, 0, 42);
  uint64_t hash = 14695981039346656037ull;
  for (uint64_t i = 0; i < 4096; ++i)
    hash = (hash ^ std::bit_cast<uint64_t>(rng.normal(i))) * 1099511628211ull;
  EXPECT_EQ(hash, 1273645944494894235u);
}

TEST(Rng, permutation_is_complete_and_depends_on_the_epoch) {
  const auto a = permutation(1000, 5, RngPurpose::shuffle, 0);
  const auto b = permutation(1000, 5, RngPurpose::shuffle, 1);
  EXPECT_EQ(std::set<uint32_t>(a.begin(), a.end()).size(), 1000u);
  EXPECT_NE(a, b);
  EXPECT_EQ(a, permutation(1000, 5, RngPurpose::shuffle, 0));
}

}  // namespace ft
