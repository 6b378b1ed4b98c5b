// Parts of a pass's workspace: planned at setup by adding up sizes, found again while running in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

#include "tensor/tensor.h"

namespace ft::cuda {

// Parts start at multiples of kAlignment, whatever the workspace starts at: the vendors' kernels want 256 bytes.
class Scratch {
 public:
  // Counts only.
  Scratch() = default;
  // Hands out parts of `workspace`, which has at least the counted size (an empty one has none).
  explicit Scratch(const Tensor& workspace)
      : base_(static_cast<std::byte*>(workspace.data())), size_(workspace.bytes()) {
    used_ = (kAlignment - reinterpret_cast<uintptr_t>(base_) % kAlignment) % kAlignment;
  }

  // The next part; nullptr while counting, and for 0 bytes.
  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    const size_t at = used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (base_ == nullptr) return nullptr;
    FT_CHECK(used_ <= size_, "the workspace is smaller than the plan said");
    return base_ + at;
  }
  // What was counted, and room to find the first multiple.
  size_t bytes() const { return used_ == 0 ? 0 : used_ + kAlignment; }

 private:
  std::byte* base_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

// Workspace for parts of these sizes, taken in this order.
inline size_t scratch_bytes(std::initializer_list<size_t> parts) {
  Scratch scratch;
  for (size_t bytes : parts) scratch.take(bytes);
  return scratch.bytes();
}

}  // namespace ft::cuda
