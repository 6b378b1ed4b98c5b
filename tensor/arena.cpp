// Greedy placement of blocks by size.
#include "tensor/arena.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "tensor/allocator.h"

namespace ft {
namespace {

size_t aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Lowest offset at which `block` meets none of `placed`, which are sorted by offset.
size_t lowest_place(const ArenaBlock& block, const std::vector<const ArenaBlock*>& placed) {
  size_t offset = 0;
  for (const ArenaBlock* other : placed) {
    if (other->last < block.first || block.last < other->first) continue;
    if (offset + aligned(block.bytes) <= other->offset) break;
    offset = std::max(offset, other->offset + aligned(other->bytes));
  }
  return offset;
}

}  // namespace

size_t plan_arena(std::vector<ArenaBlock>& blocks, bool reuse) {
  std::vector<size_t> order(blocks.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order,
                           [&](size_t a, size_t b) { return blocks[a].bytes > blocks[b].bytes; });
  std::vector<const ArenaBlock*> placed;
  size_t size = 0;
  for (size_t i : order) {
    ArenaBlock& block = blocks[i];
    if (block.bytes == 0) continue;
    block.offset = reuse ? lowest_place(block, placed) : size;
    size = std::max(size, block.offset + aligned(block.bytes));
    const auto by_offset = [](const ArenaBlock* a, const ArenaBlock* b) {
      return a->offset < b->offset;
    };
    placed.insert(std::ranges::upper_bound(placed, &block, by_offset), &block);
  }
  return size;
}

size_t arena_lower_bound(const std::vector<ArenaBlock>& blocks) {
  std::map<int64_t, int64_t> change;
  for (const ArenaBlock& block : blocks) {
    change[block.first] += static_cast<int64_t>(aligned(block.bytes));
    change[block.last + 1] -= static_cast<int64_t>(aligned(block.bytes));
  }
  int64_t now = 0, most = 0;
  for (const auto& [time, delta] : change) most = std::max(most, now += delta);
  return static_cast<size_t>(most);
}

}  // namespace ft
