// Replaces operator new of the whole test program; in a file of its own, so that nothing is
// inlined.
#include "tests/io/allocation_count.h"

#include <atomic>
#include <cstdlib>
#include <new>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

namespace ft::test {
bool counts_allocations() { return false; }
int64_t allocation_count() { return 0; }
}  // namespace ft::test

#else

namespace {
std::atomic<int64_t> calls{0};
}  // namespace

namespace ft::test {
bool counts_allocations() { return true; }
int64_t allocation_count() { return calls; }
}  // namespace ft::test

void* operator new(size_t bytes) {
  ++calls;
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

#endif
