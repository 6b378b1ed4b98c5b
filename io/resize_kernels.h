// The two inner loops of the resizer, in plain C++ and for AVX2. All of them give the same bytes:
// sums of 8-bit pixels times 22-bit weights are exact in 32 bits. No state, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "io/resize_taps.h"

namespace ft {

struct ResizeKernels {
  // One RGB row through taps {count} -> out {count,3}; mirrored: entry x goes to pixel count - 1 -
  // x. Reads at most kResizeOverread bytes behind the last pixel that the taps name. Two
  // independent rows at once, since the taps are the same.
  void (*rows)(const uint8_t* const in[2], const ResizeTaps& taps, bool mirrored,
               uint8_t* const out[2]);

  // One output row: entry `y` of taps over rows in + i * in_stride, `bytes` bytes wide. Reads and
  // writes nothing beyond them.
  void (*columns)(const uint8_t* in, ptrdiff_t in_stride, const ResizeTaps& taps, int y, int bytes,
                  uint8_t* out);
  const char* name;
};

inline constexpr int kResizeOverread = 16;

const ResizeKernels& plain_resize_kernels();

// The fastest ones that this processor runs.
const ResizeKernels& best_resize_kernels();

}  // namespace ft
