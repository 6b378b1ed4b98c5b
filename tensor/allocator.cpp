// Host memory and counting.
#include "tensor/allocator.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <cstdlib>

#include "tensor/error.h"

namespace ft {

void* HostAllocator::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  constexpr size_t kHuge = size_t{2} << 20;
  const bool huge = bytes >= 2 * kHuge;
  const size_t align = huge ? kHuge : kAlignment;
  const size_t size = (bytes + align - 1) / align * align;
  void* block = size < bytes ? nullptr : std::aligned_alloc(align, size);
  if (block == nullptr)
    throw Error(4001, "host memory", fmt::format("{} MiB could not be allocated", bytes >> 20),
                "use a smaller --batch or --micro-batch, or a machine with more memory");
  if (huge) madvise(block, size, MADV_HUGEPAGE);
  return block;
}

void HostAllocator::release(void* block, size_t) noexcept { std::free(block); }

void* CountingAllocator::allocate(size_t bytes) {
  void* block = base_.allocate(bytes);
  ++allocations_;
  const size_t now = bytes_now_ += bytes;
  size_t peak = bytes_peak_;
  while (peak < now && !bytes_peak_.compare_exchange_weak(peak, now)) {
  }
  return block;
}

void CountingAllocator::release(void* block, size_t bytes) noexcept {
  base_.release(block, bytes);
  if (block != nullptr) bytes_now_ -= bytes;
}

}  // namespace ft
