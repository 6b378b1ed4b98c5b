// Rows in memory or in a nameless file.
#include "io/feature_store.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "io/atomic_file.h"
#include "io/available.h"
#include "io/huge_pages.h"
#include "tensor/error.h"

namespace ft {
namespace {

// Tells a damaged row from a good one; four independent chains keep it faster than any disk.
uint64_t check_sum(const void* bytes, size_t count) {
  constexpr uint64_t kOdd = 0x9E3779B97F4A7C15;
  uint64_t lanes[4] = {1, 2, 3, count};
  const auto* data = static_cast<const std::byte*>(bytes);
  while (count > 0) {
    uint64_t words[4] = {};
    const size_t n = std::min(count, sizeof(words));
    std::memcpy(words, data, n);
    for (int i = 0; i < 4; ++i) {
      lanes[i] = (lanes[i] ^ words[i]) * kOdd;
      lanes[i] ^= lanes[i] >> 29;
    }
    data += n;
    count -= n;
  }
  uint64_t sum = 0;
  for (const uint64_t lane : lanes) sum = (sum ^ lane) * kOdd;
  return sum;
}

// The file loses its name at once: it lives as long as its descriptor.
UniqueFd nameless_file(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / (".features." + std::to_string(::getpid()));
  const int flags = O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd file(retry_interrupted([&] { return ::open(path.c_str(), flags, 0600); }));
  if (!file) throw_output_error(path, "open", errno);
  if (::unlink(path.c_str()) != 0) throw_output_error(path, "unlink", errno);
  return file;
}

// Whether the file may now grow to `bytes`. A file system that cannot reserve was asked for its free space.
bool reserve(const UniqueFd& file, const std::filesystem::path& folder, size_t bytes) {
  const auto size = static_cast<off_t>(bytes);
  if (retry_interrupted([&] { return ::fallocate(file.get(), 0, 0, size); }) == 0) return true;
  if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG) return false;
  if (errno == EOPNOTSUPP || errno == ENOSYS) return true;
  throw_output_error(folder, "fallocate", errno);
}

}  // namespace

std::unique_ptr<FeatureStore> FeatureStore::in_memory(size_t rows, size_t row_bytes) {
  std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[rows * row_bytes]);
  if (memory == nullptr) return nullptr;
  std::unique_ptr<FeatureStore> store(new FeatureStore(rows, row_bytes));
  store->memory_ = std::move(memory);
  advise_huge_pages(store->memory_.get(), rows * row_bytes);
  return store;
}

std::unique_ptr<FeatureStore> FeatureStore::on_disk(const std::filesystem::path& folder,
                                                    size_t rows, size_t row_bytes) {
  if (available_disk(folder).value_or(0) < rows * row_bytes) return nullptr;
  std::unique_ptr<FeatureStore> store(new FeatureStore(rows, row_bytes));
  store->folder_ = folder;
  store->file_ = nameless_file(folder);
  store->check_sums_.resize(rows);
  if (!reserve(store->file_, folder, rows * row_bytes)) return nullptr;
  return store;
}

void FeatureStore::put(size_t row, const void* bytes) {
  FT_CHECK(row < rows(), "a row that the store does not have");
  if (present_[row]) return;
  if (!on_disk()) {
    std::memcpy(&memory_[row * row_bytes_], bytes, row_bytes_);
  } else {
    for (size_t done = 0; done < row_bytes_;) {
      const ssize_t n = retry_interrupted([&] {
        return ::pwrite(file_.get(), static_cast<const std::byte*>(bytes) + done, row_bytes_ - done,
                        static_cast<off_t>(row * row_bytes_ + done));
      });
      if (n <= 0) throw_output_error(folder_, "pwrite of features", n == 0 ? EIO : errno);
      done += static_cast<size_t>(n);
    }
    check_sums_[row] = check_sum(bytes, row_bytes_);
  }
  present_[row] = true;
  ++count_;
}

void FeatureStore::load(size_t row, void* out) const {
  FT_CHECK(row < rows() && present_[row], "a row is loaded that was never stored");
  if (!on_disk()) {
    std::memcpy(out, &memory_[row * row_bytes_], row_bytes_);
    return;
  }
  size_t done = 0;
  while (done < row_bytes_) {
    const ssize_t n = retry_interrupted([&] {
      return ::pread(file_.get(), static_cast<std::byte*>(out) + done, row_bytes_ - done,
                     static_cast<off_t>(row * row_bytes_ + done));
    });
    if (n < 0) throw_output_error(folder_, "pread of features", errno);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  if (done < row_bytes_ || check_sum(out, row_bytes_) != check_sums_[row])
    throw Error(5012, folder_.string(), "stored features do not read back as they were written",
                "the disk may be failing: choose another --out, or use --feature-cache off");
}

std::vector<uint32_t> FeatureStore::missing() const {
  std::vector<uint32_t> out;
  for (size_t i = 0; i < present_.size(); ++i)
    if (!present_[i]) out.push_back(static_cast<uint32_t>(i));
  return out;
}

}  // namespace ft
