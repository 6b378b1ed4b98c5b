// A whole regular file in memory: opened once, read once, so that what is checked is what is used
// even if the file is replaced meanwhile. FileBytes owns its memory; move-only. Functions are safe
// to call from several threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace ft {

class FileBytes {
 public:
  FileBytes() = default;
  // Memory for `size` bytes, not initialised. Throws std::bad_alloc.
  explicit FileBytes(size_t size);
  // Takes over memory that came from malloc.
  FileBytes(std::byte* data, size_t size) : data_(data), size_(size) {}

  size_t size() const { return size_; }
  std::byte* data() { return data_.get(); }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_.get()), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte[], Free> data_;
  size_t size_ = 0;
};

struct FileReadOptions {
  // The topic's error numbers start here: +1 missing, +2 a folder, +3 not a regular file,
  // +4 no permission, +5 empty, +6 larger than max_bytes, +7 changed while it was read.
  int first_error = 0;
  std::string what;  // "weight file", for messages
  uint64_t max_bytes = UINT64_MAX;
  // Called in order with every piece right after it was read, on the reading thread.
  std::function<void(std::span<const std::byte>)> on_piece;
};

// Reads `path` whole. Interrupted and short reads are continued; never waits on a FIFO or device.
// Throws Error first_error + 1..7, 5030 when the medium fails, 5015 without free descriptors.
FileBytes read_file_bytes(const std::filesystem::path& path, const FileReadOptions& options);

// The same into `file`, which holds the memory already while on_piece is called: for pieces that
// another thread goes on using, whether or not the reading succeeds.
void read_file_bytes(const std::filesystem::path& path, const FileReadOptions& options,
                     FileBytes* file);

}  // namespace ft
