// HDF5 files as strangers write them, with the C API itself, and what a reader may not do with them. Header-only.
#pragma once

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/support.h"

namespace ft::test {

// Closes any kind of HDF5 handle at the end of its scope.
struct Handle {
  hid_t id;
  Handle(hid_t i) : id(i) { EXPECT_GE(i, 0); }
  ~Handle() { H5Idec_ref(id); }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  operator hid_t() const { return id; }
};

// A file made by `fill` with the C API itself, as a stranger would.
inline std::string foreign_file(const std::function<void(hid_t file)>& fill,
                                hid_t access = H5P_DEFAULT, hid_t creation = H5P_DEFAULT) {
  TempDir dir;
  const std::string path = (dir / "foreign.h5").string();
  {
    const Handle file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, creation, access);
    fill(file);
  }
  return read_file(path);
}

// Properties of a dataset in chunks.
inline Handle chunked(std::vector<hsize_t> chunk) {
  const hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(properties, static_cast<int>(chunk.size()), chunk.data());
  return properties;
}

// Runs `action` in a child that may use only `bytes` more memory than now.
inline bool fits_in_memory(size_t bytes, const std::function<bool()>& action) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * static_cast<size_t>(::sysconf(_SC_PAGESIZE)) + bytes;
    const rlimit both{limit, limit};
    ::setrlimit(RLIMIT_AS, &both);
    ::_exit(action() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

// A filter that only this program knows, while it lives.
class UnknownFilter {
 public:
  UnknownFilter() {
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, kNumber, 1,       1,
                                 "hostile",        nullptr, nullptr, pass};
    EXPECT_GE(H5Zregister(&filter), 0);
  }
  ~UnknownFilter() { H5Zunregister(kNumber); }
  UnknownFilter(const UnknownFilter&) = delete;
  UnknownFilter& operator=(const UnknownFilter&) = delete;
  void add_to(hid_t properties) const {
    H5Pset_filter(properties, kNumber, H5Z_FLAG_MANDATORY, 0, nullptr);
  }

 private:
  static constexpr H5Z_filter_t kNumber = 32001;
  static size_t pass(unsigned, size_t, const unsigned*, size_t n, size_t*, void**) { return n; }
};

}  // namespace ft::test
