// What the HDF5 reader and writer share: the one lock around libhdf5, handles that close
// themselves, and the library's error text. For .cpp files only, since it includes <hdf5.h>. Thread
// rule: libhdf5 is not thread-safe as packaged, so every call happens under a Lock.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "io/hdf5_reader.h"

namespace ft::hdf5 {

// Holds the process-wide mutex of libhdf5 and keeps the library from printing and from loading
// plugins. Declare it before the first Id of a function, so that it is released last.
class Lock {
 public:
  Lock();
  ~Lock();
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  // True if the calling thread holds the lock.
  static bool held();

 private:
  std::unique_lock<std::mutex> lock_;
};

// A handle of libhdf5. Owns it; move-only; made and destroyed under a Lock.
class Id {
 public:
  using Close = herr_t (*)(hid_t);
  Id() = default;
  Id(hid_t id, Close close);
  Id(Id&& other) noexcept : id_(std::exchange(other.id_, -1)), close_(other.close_) {}
  Id& operator=(Id&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Id() { reset(); }

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }

  // Closes now; false if the library reports an error, which is where late write errors appear.
  bool reset();

 private:
  hid_t id_ = -1;
  Close close_ = nullptr;
};

// A new name for a file that lives in memory. The library tells such files apart by name alone, so
// every one needs its own; a path below a device cannot exist, so it never means a real file.
std::string no_file();

// " [the innermost message of the last failed call]", or nothing.
std::string error_text();

// What the elements of a type are; `other` for all that is not read.
Element element_of(hid_t type);

struct ObjectInfo {
  int links = 0;
  uint64_t attributes = 0;
};
ObjectInfo object_info(hid_t object);

// Fixed-length strings of `size` bytes each, up to their first zero byte.
std::vector<std::string> split_strings(const std::string& bytes, size_t size);

// A text of this kind of file is never longer.
constexpr size_t kMaxTextBytes = 1u << 16;

// Remedies.
constexpr const char* kConvert = "export it again as plain arrays with its own tool";
constexpr const char* kDamaged = "the file is damaged: copy or make it again";
constexpr const char* kOtherFile = "check that this is the right file";

}  // namespace ft::hdf5
