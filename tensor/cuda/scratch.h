// Parts of a pass's workspace: planned at setup by adding up sizes, found again while running in
// the same order.
#pragma once

#include <algorithm>
#include <cstddef>

#include "tensor/tensor.h"

namespace ft::cuda {

class Scratch {
 public:
  // Counts only.
  Scratch() = default;
  // Hands out parts of `workspace`, which has at least the counted size (an empty one has none).
  explicit Scratch(const Tensor& workspace)
      : base_(static_cast<std::byte*>(workspace.data())), size_(workspace.bytes()) {}

  // The next part; nullptr while counting, and for 0 bytes.
  void* take(size_t bytes) {
    if (bytes == 0) return nullptr;
    const size_t at = used_;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (base_ == nullptr) return nullptr;
    FT_CHECK(used_ <= size_, "the workspace is smaller than the plan said");
    return base_ + at;
  }
  size_t bytes() const { return used_; }

 private:
  std::byte* base_ = nullptr;
  size_t size_ = 0, used_ = 0;
};

}  // namespace ft::cuda
