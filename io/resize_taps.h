// The weights of one resized axis: a triangle filter whose support grows with the reduction, so
// that every input pixel counts (antialiasing). Weights are integers with 22 binary places, made
// exactly as Pillow makes them for its bilinear filter. Values; any thread.
//   scale = in / out, support = max(1, scale), centre(x) = (x + 1/2) scale
//   weight(x, i) = max(0, 1 - |i + 1/2 - centre(x)| / support), divided by their sum over i
// Source: Heckbert 1989, "Fundamentals of texture mapping and image warping", section 3 (resampling
// filters); the rounding follows Pillow's Resample.c in behaviour.
#pragma once

#include <cstdint>
#include <vector>

namespace ft {

inline constexpr int kResizeBits = 22;
inline constexpr int kResizeLowBits = 11;

struct ResizeTaps {
  int in = 0, out = 0;  // sizes of the whole axis
  int first = 0,
      count = 0;   // outputs first … first + count - 1 are described, as entries 0 … count - 1
  int stride = 0;  // weights stored an entry, a multiple of 4, the rest zero
  std::vector<int> start, taps;  // of an entry: its first input, how many inputs
  std::vector<int32_t> weight;   // {count, stride}
  // The same split for 16-bit multiply-add: weight = high * 2^11 + low, two neighbours in one word
  // (the first in the low half). {count, stride / 2}
  std::vector<int32_t> high_pairs, low_pairs;
};

// Fills `taps`, reusing its memory. in, out, count >= 1; first + count <= out.
void build_resize_taps(int in, int out, int first, int count, ResizeTaps& taps);

}  // namespace ft
