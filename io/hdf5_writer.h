// Builds an HDF5 file in memory, so that libhdf5 never meets a full disk; io/atomic_file then
// writes it. Equal input gives equal bytes: no times are recorded. A Writer owns its file handle
// and image until finish() gives the image away. One thread at a time for one Writer. Failures of
// libhdf5 here mean that memory ran out: Error 4040.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/file_bytes.h"
#include "io/hdf5_reader.h"

namespace ft::hdf5 {

class Writer {
 public:
  // The first `user_block` bytes (0, or a power of two from 512) stay zero, for the caller to fill.
  // `expected_bytes` is a hint that avoids regrowing.
  explicit Writer(size_t user_block = 0, size_t expected_bytes = 0);
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // A group that remembers the order in which its members are made. Its parent must exist.
  void group(const std::string& path);

  // A dataset in row-major order, little-endian, in chunks with a Fletcher32 checksum each.
  void write(const std::string& path, const Shape& shape, std::span<const float> data);
  void write(const std::string& path, const Shape& shape, std::span<const double> data);
  void write(const std::string& path, const Shape& shape, std::span<const int64_t> data);

  // A 1-D dataset of UTF-8 strings, zero-padded to one length; strings must not hold zero bytes.
  void write_strings(const std::string& path, const std::vector<std::string>& strings);

  // Attributes of the group or dataset at `path` ("/" for the root); text at most kMaxText bytes.
  static constexpr size_t kMaxText = 60000;
  void attribute(const std::string& path, const std::string& name, std::string_view text);
  void attribute(const std::string& path, const std::string& name, int64_t number);
  void attribute(const std::string& path, const std::string& name, std::span<const double> numbers);

  // Closes the file and gives away its bytes. Nothing else may be called after it.
  FileBytes finish();

 private:
  struct Image;
  void write_any(const std::string& path, const Shape& shape, int64_t file_type,
                 int64_t memory_type, const void* data, size_t count, size_t element_bytes);
  void attribute_any(const std::string& path, const std::string& name, int64_t type, int64_t space,
                     int64_t memory_type, const void* data);

  std::unique_ptr<Image> image_;
  size_t user_block_;
  int64_t id_ = -1;  // hid_t
};

}  // namespace ft::hdf5
