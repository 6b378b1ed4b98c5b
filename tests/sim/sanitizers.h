// The sanitizers' interfaces as weak symbols: null without that sanitizer, so that one library serves all builds.
// The simulator itself is never instrumented.
#pragma once

#include <cstddef>

#pragma GCC visibility push(default)
extern "C" {
#define FT_WEAK __attribute__((weak))
FT_WEAK void __sanitizer_start_switch_fiber(void** fake, const void* stack, size_t bytes);
FT_WEAK void __sanitizer_finish_switch_fiber(void* fake, const void** old_stack, size_t* old_bytes);
FT_WEAK void __asan_poison_memory_region(const volatile void* p, size_t n);
FT_WEAK void __asan_unpoison_memory_region(const volatile void* p, size_t n);
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

}  // namespace sim
