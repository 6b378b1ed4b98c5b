// The decoder's memory: zero-filled, capped, kept between pictures.
#include "io/image_stb.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "tests/io/allocation_count.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

bool all_zero(const void* block, size_t bytes) {
  const auto* b = static_cast<const uint8_t*>(block);
  return std::all_of(b, b + bytes, [](uint8_t v) { return v == 0; });
}

TEST(ImageStb, blocks_are_aligned_disjoint_and_zero_also_when_used_again) {
  DecoderMemory memory;
  for (int round = 0; round < 3; ++round) {
    memory.start(int64_t{8} << 20);
    std::vector<uint8_t*> blocks;
    for (const size_t bytes : {1u, 17u, 3'000'000u, 64u, 2'000'000u}) {
      auto* block = static_cast<uint8_t*>(memory.allocate(bytes));
      ASSERT_NE(block, nullptr);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 16, 0u);
      EXPECT_TRUE(all_zero(block, bytes)) << bytes;
      std::memset(block, 0xAA, bytes);
      for (const uint8_t* other : blocks) EXPECT_EQ(*other, 0xAA);
      blocks.push_back(block);
    }
  }
}

TEST(ImageStb, the_cap_counts_all_blocks_and_releases_of_the_last) {
  DecoderMemory memory;
  memory.start(1000);
  void* first = memory.allocate(600);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(memory.allocate(600), nullptr);
  EXPECT_TRUE(memory.cap_reached());
  EXPECT_FALSE(memory.exhausted());
  memory.release(first);
  EXPECT_NE(memory.allocate(600), nullptr);
  EXPECT_EQ(memory.allocate(~size_t{0}), nullptr);
  memory.start(10);
  EXPECT_FALSE(memory.cap_reached());
}

TEST(ImageStb, reallocate_keeps_the_content_and_zeroes_the_rest) {
  DecoderMemory memory;
  memory.start(10000);
  auto* old = static_cast<uint8_t*>(memory.reallocate(nullptr, 0, 40));
  std::memset(old, 7, 40);
  memory.allocate(16);
  auto* grown = static_cast<uint8_t*>(memory.reallocate(old, 40, 400));
  EXPECT_EQ(grown[39], 7);
  EXPECT_TRUE(all_zero(grown + 40, 360));
  EXPECT_EQ(memory.reallocate(grown, 400, 100000), nullptr);
}

TEST(ImageStb, pixels_need_no_new_memory_once_a_size_was_seen) {
  DecoderMemory memory;
  std::vector<uint8_t> rgb;
  for (const test::Bytes& file :
       {test::drawn_jpeg(200, 150), test::drawn_png(200, 150), test::drawn_bmp(200, 150)}) {
    const auto decode = [&] {
      return decode_with_stb(file, 200, 150, 10'000'000, memory, rgb).outcome;
    };
    ASSERT_EQ(decode(), DecodeResult::Outcome::decoded);
    ASSERT_EQ(decode(), DecodeResult::Outcome::decoded);
    const int64_t before = test::allocation_count();
    EXPECT_EQ(decode(), DecodeResult::Outcome::decoded);
    EXPECT_EQ(test::allocation_count() - before, 0);
  }
}

}  // namespace
}  // namespace ft
