// Greedy placement of blocks, in several orders.
#include "tensor/arena.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <utility>

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

// The blocks in falling order of `rank`, each at its lowest place. Returns the size.
size_t place_by(double (*rank)(const ArenaBlock&), std::vector<ArenaBlock>& blocks) {
  std::vector<ArenaBlock*> order;
  for (ArenaBlock& block : blocks)
    if (block.bytes > 0) order.push_back(&block);
  std::ranges::stable_sort(order, std::greater{}, [&](const ArenaBlock* b) { return rank(*b); });
  std::vector<const ArenaBlock*> placed;
  size_t size = 0;
  for (ArenaBlock* block : order) {
    block->offset = lowest_place(*block, placed);
    size = std::max(size, block->offset + aligned(block->bytes));
    placed.insert(std::ranges::upper_bound(placed, block->offset, {}, &ArenaBlock::offset), block);
  }
  return size;
}

double bytes_of(const ArenaBlock& block) { return static_cast<double>(block.bytes); }
double life_of(const ArenaBlock& block) {
  return static_cast<double>(block.last - block.first + 1);
}
double area_of(const ArenaBlock& block) { return bytes_of(block) * life_of(block); }
double end_of(const ArenaBlock& block) { return static_cast<double>(block.last); }
double begin_of(const ArenaBlock& block) { return -static_cast<double>(block.first); }

size_t place_apart(std::vector<ArenaBlock>& blocks) {
  size_t size = 0;
  for (ArenaBlock& block : blocks) {
    block.offset = size;
    size += aligned(block.bytes);
  }
  return size;
}

}  // namespace

size_t plan_arena(std::vector<ArenaBlock>& blocks, bool reuse) {
  if (!reuse) return place_apart(blocks);
  const size_t bound = arena_lower_bound(blocks);
  std::vector<ArenaBlock> best;
  size_t least = SIZE_MAX;
  for (const auto rank : {bytes_of, area_of, life_of, end_of, begin_of}) {
    const size_t size = place_by(rank, blocks);
    if (size >= least) continue;
    least = size;
    best = blocks;
    if (least == bound) break;
  }
  blocks = std::move(best);
  return least;
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
