// Where memory comes from. Allocators may wrap each other. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace ft {

constexpr size_t kAlignment = 256;  // bytes; every block of every allocator

class Allocator {
 public:
  virtual ~Allocator() = default;
  // A block of `bytes` (0 gives nullptr). Throws Error 4001 (host) or 4002 (device) with the size asked.
  virtual void* allocate(size_t bytes) = 0;
  // Never throws; nullptr is allowed. The caller has made sure that no stream still uses the block.
  virtual void release(void* block, size_t bytes) noexcept = 0;
};

// Host memory, aligned to kAlignment. Blocks of 4 MiB and more ask for huge pages.
class HostAllocator : public Allocator {
 public:
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;
};

// Counts what passes through to `base`, which must outlive it.
class CountingAllocator : public Allocator {
 public:
  explicit CountingAllocator(Allocator& base) : base_(base) {}
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;

  uint64_t allocations() const { return allocations_; }
  size_t bytes_now() const { return bytes_now_; }
  size_t bytes_peak() const { return bytes_peak_; }

 private:
  Allocator& base_;
  std::atomic<uint64_t> allocations_{0};
  std::atomic<size_t> bytes_now_{0}, bytes_peak_{0};
};

}  // namespace ft
