// Placement of blocks in the arena.
#include "tensor/arena.h"

#include <gtest/gtest.h>

#include "tensor/allocator.h"
#include "tensor/rng.h"

namespace ft {

TEST(Arena, blocks_alive_together_never_overlap_and_the_size_is_near_the_bound) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Rng rng(seed, RngPurpose::test);
    std::vector<ArenaBlock> blocks(60);
    for (size_t i = 0; i < blocks.size(); ++i) {
      blocks[i].bytes = rng.below(3 * i, 5000);
      blocks[i].first = rng.below(3 * i + 1, 100);
      blocks[i].last = blocks[i].first + rng.below(3 * i + 2, 20);
    }
    const size_t size = plan_arena(blocks);
    EXPECT_LE(arena_lower_bound(blocks), size);
    EXPECT_LT(static_cast<double>(size), 1.5 * static_cast<double>(arena_lower_bound(blocks)));
    for (const ArenaBlock& a : blocks) {
      EXPECT_EQ(a.offset % kAlignment, 0u);
      EXPECT_LE(a.offset + a.bytes, size);
      for (const ArenaBlock& b : blocks) {
        if (&a == &b || a.last < b.first || b.last < a.first) continue;
        EXPECT_TRUE(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset ||
                    a.bytes == 0 || b.bytes == 0);
      }
    }
  }
}

TEST(Arena, another_order_is_taken_where_it_needs_less) {
  // The largest first needs 11 units: the block of 2 finds no gap left. The last to end first needs 10, the bound.
  std::vector<ArenaBlock> blocks{{2, 2, 3, 0}, {4, 2, 4, 0}, {4, 0, 2, 0}, {5, 1, 1, 0}};
  for (ArenaBlock& block : blocks) block.bytes *= kAlignment;
  EXPECT_EQ(arena_lower_bound(blocks), 10 * kAlignment);
  EXPECT_EQ(plan_arena(blocks), 10 * kAlignment);
}

TEST(Arena, blocks_that_never_meet_share_one_place) {
  std::vector<ArenaBlock> blocks{{1000, 0, 1, 0}, {1000, 2, 3, 0}, {500, 4, 9, 0}};
  EXPECT_EQ(plan_arena(blocks), 1024u);
  EXPECT_EQ(plan_arena(blocks, false), 1024u + 1024u + 512u);
}

}  // namespace ft
