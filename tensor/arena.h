// Memory planning: where blocks with known lifetimes lie in one allocation, so that blocks that are
// never alive together share memory. Pure functions, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ft {

// One block: needed from time `first` to time `last`, both included.
struct ArenaBlock {
  size_t bytes = 0;
  int64_t first = 0, last = 0;
  size_t offset = 0;  // answer
};

// Fills in the offsets (multiples of kAlignment) and returns the size of the arena. Largest block first, each at
// the lowest place that is free during its life (the greedy rule of Pisarchyk & Lee 2020, "Efficient memory
// management for deep neural net inference"); where that is above the lower bound, other orders are tried (bytes times
// life, life, end, begin) and the smallest arena counts. With reuse == false every block has its own place.
size_t plan_arena(std::vector<ArenaBlock>& blocks, bool reuse = true);

// The most bytes that are alive at one time: no plan can be smaller.
size_t arena_lower_bound(const std::vector<ArenaBlock>& blocks);

}  // namespace ft
