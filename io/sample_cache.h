// Decoded samples in memory, for the loader. Safe from several threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

namespace ft {

// Pixels of all samples before the flip. A sample is stored by the first worker that decodes it and
// read once it is complete; its state makes the bytes visible to the readers.
class SampleCache {
 public:
  SampleCache(size_t samples, size_t row_bytes)
      : row_bytes_(row_bytes),
        bytes_(new(std::nothrow) uint8_t[samples * row_bytes]),
        states_(samples) {}

  bool usable() const { return bytes_ != nullptr; }

  // Copies the sample to `out` if it is here.
  bool load(size_t sample, uint8_t* out) const {
    if (states_[sample].load(std::memory_order_acquire) != kReady) return false;
    std::memcpy(out, &bytes_[sample * row_bytes_], row_bytes_);
    return true;
  }

  void store(size_t sample, const uint8_t* pixels) {
    uint8_t empty = kEmpty;
    if (!states_[sample].compare_exchange_strong(empty, kBusy)) return;
    std::memcpy(&bytes_[sample * row_bytes_], pixels, row_bytes_);
    states_[sample].store(kReady, std::memory_order_release);
  }

 private:
  static constexpr uint8_t kEmpty = 0, kBusy = 1, kReady = 2;
  size_t row_bytes_;
  std::unique_ptr<uint8_t[]> bytes_;  // left as it comes: pages are touched when a sample is stored
  std::vector<std::atomic<uint8_t>> states_;
};

}  // namespace ft
