// Large buffers touched for the first time cost one page fault per 4 KiB, which is most of the time
// of loading a large file. With this advice the kernel maps 2 MiB at once where it can.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ft {

// Advises the kernel for memory that is not touched yet. Never fails: advice may be ignored.
inline void advise_huge_pages(void* data, size_t bytes) {
  constexpr size_t kWorthIt = 8u << 20;
  if (bytes < kWorthIt) return;
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  // NOLINTNEXTLINE(performance-no-int-to-ptr)
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
}

// A vector of `n` zeros in such memory.
template <class T>
std::vector<T> make_large_vector(size_t n) {
  std::vector<T> values;
  values.reserve(n);
  advise_huge_pages(values.data(), n * sizeof(T));
  values.resize(n);
  return values;
}

}  // namespace ft
