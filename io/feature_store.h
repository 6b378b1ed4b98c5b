// Rows of equal size by the index of their sample: outputs of the frozen front of a network, kept so that it
// runs once an image. In memory, or in a file without a name, which no end of the process can leave behind.
// put() by one thread; load() by any number of threads once nothing is put any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "io/unique_fd.h"

namespace ft {

class FeatureStore {
 public:
  // Null if the system refuses the memory. Pages are taken as rows come.
  static std::unique_ptr<FeatureStore> in_memory(size_t rows, size_t row_bytes);
  // A file in `folder` whose space is reserved now. Null if the disk does not have it; throws Error 50xx for
  // any other reason.
  static std::unique_ptr<FeatureStore> on_disk(const std::filesystem::path& folder, size_t rows,
                                               size_t row_bytes);

  // Keeps a row; a row that is here already stays as it is. Throws Error 50xx if the file cannot be written.
  void put(size_t row, const void* bytes);
  // Copies a row that is here. Throws Error 5012 if the file does not give back what was written.
  void load(size_t row, void* out) const;

  bool has(size_t row) const { return present_[row]; }
  bool complete() const { return count_ == present_.size(); }
  std::vector<uint32_t> missing() const;
  size_t rows() const { return present_.size(); }
  size_t row_bytes() const { return row_bytes_; }
  bool on_disk() const { return static_cast<bool>(file_); }

 private:
  FeatureStore(size_t rows, size_t row_bytes) : row_bytes_(row_bytes), present_(rows) {}

  size_t row_bytes_;
  size_t count_ = 0;
  std::vector<bool> present_;
  std::unique_ptr<std::byte[]> memory_;
  UniqueFd file_;
  std::filesystem::path folder_;      // for messages
  std::vector<uint64_t> check_sums_;  // of the rows in the file
};

}  // namespace ft
