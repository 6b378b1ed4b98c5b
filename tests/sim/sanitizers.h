// The sanitizers' interfaces as weak symbols: null without that sanitizer, so that one library serves all builds.
// The simulator itself is never instrumented.
#pragma once

#include <sys/mman.h>

#include <cstddef>

#pragma GCC visibility push(default)
extern "C" {
#define FT_WEAK __attribute__((weak))
FT_WEAK void __sanitizer_start_switch_fiber(void** fake, const void* stack, size_t bytes);
FT_WEAK void __sanitizer_finish_switch_fiber(void* fake, const void** old_stack, size_t* old_bytes);
FT_WEAK void __asan_poison_memory_region(const volatile void* p, size_t n);
FT_WEAK void __asan_unpoison_memory_region(const volatile void* p, size_t n);
FT_WEAK void* __tsan_get_current_fiber();
FT_WEAK void* __tsan_create_fiber(unsigned flags);
FT_WEAK void __tsan_destroy_fiber(void* fiber);
FT_WEAK void __tsan_switch_to_fiber(void* fiber, unsigned flags);
FT_WEAK void __tsan_acquire(void* token);
FT_WEAK void __tsan_release(void* token);
FT_WEAK void __tsan_read_range(void* p, unsigned long n);
FT_WEAK void __tsan_write_range(void* p, unsigned long n);
FT_WEAK void AnnotateIgnoreReadsBegin(const char* file, int line);
FT_WEAK void AnnotateIgnoreReadsEnd(const char* file, int line);
FT_WEAK void AnnotateIgnoreWritesBegin(const char* file, int line);
FT_WEAK void AnnotateIgnoreWritesEnd(const char* file, int line);
#undef FT_WEAK
}
#pragma GCC visibility pop

namespace sim {

inline bool asan() { return __asan_poison_memory_region != nullptr; }
inline void asan_start_switch(void** fake, const void* stack, size_t bytes) {
  if (asan()) __sanitizer_start_switch_fiber(fake, stack, bytes);
}
inline void asan_finish_switch(void* fake, const void** old_stack, size_t* old_bytes) {
  if (asan()) __sanitizer_finish_switch_fiber(fake, old_stack, old_bytes);
}
inline void asan_poison(const void* p, size_t n) {
  if (asan()) __asan_poison_memory_region(p, n);
}
inline void asan_unpoison(const void* p, size_t n) {
  if (asan()) __asan_unpoison_memory_region(p, n);
}

// TSan's threads ("fibers") that one OS thread switches between. What one has done happens before what another does where
// the second is made by the first, or acquires a token that the first released; a switch itself orders nothing.
inline bool tsan() { return __tsan_create_fiber != nullptr; }
inline void* tsan_current() { return tsan() ? __tsan_get_current_fiber() : nullptr; }
inline void* tsan_create() { return tsan() ? __tsan_create_fiber(0) : nullptr; }
inline void tsan_destroy(void* fiber) {
  if (tsan()) __tsan_destroy_fiber(fiber);
}
inline void tsan_switch(void* fiber) {
  constexpr unsigned kNoOrder = 1;
  if (tsan()) __tsan_switch_to_fiber(fiber, kNoOrder);
}
inline void tsan_release(void* token) {
  if (tsan()) __tsan_release(token);
}
inline void tsan_acquire(void* token) {
  if (tsan()) __tsan_acquire(token);
}
// An access of code that is not instrumented.
inline void tsan_read(const void* p, size_t n) {
  if (tsan()) __tsan_read_range(const_cast<void*>(p), n);
}
inline void tsan_write(void* p, size_t n) {
  if (tsan()) __tsan_write_range(p, n);
}

// While it lives, what the current fiber does is no access: the device's own malloc, free and memcpy.
class TsanIgnore {
 public:
  TsanIgnore() {
    if (!tsan()) return;
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~TsanIgnore() {
    if (!tsan()) return;
    AnnotateIgnoreWritesEnd("", 0);
    AnnotateIgnoreReadsEnd("", 0);
  }
  TsanIgnore(const TsanIgnore&) = delete;
  TsanIgnore& operator=(const TsanIgnore&) = delete;
};

// New zero pages at the same place: TSan forgets who touched the old ones.
inline void fresh_pages(void* p, size_t n) {
  mmap(p, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
}

}  // namespace sim
