// The two ceilings of a device, measured through its own backend: products at best, and memory at best. What an op
// takes at the least follows from them (the roofline model, Williams et al. 2009).
#pragma once

#include <string>

#include "tensor/backend.h"

namespace ft::app {

struct Peaks {
  double f32 = 0;   // FLOP/s of a large f32 product with packed weights
  double bf16 = 0;  // the same in bf16; 0: the backend has none
  double memory =
      0;  // bytes/s of y = a + b over vectors that no cache holds, every operand counted once
  double seconds = 0;  // what measuring took; 0: given
  double apart = 0;    // by how much two measurements differed at most, of the larger
  double flops(DType type) const { return type == DType::bf16 && bf16 > 0 ? bf16 : f32; }
  // Seconds that this work takes at the least.
  double roofline(DType type, double flops_of_work, double bytes) const;
};

// Below two seconds on two cores. Fastest of several runs, since disturbance only slows down.
Peaks measure_peaks(Backend& backend, StreamRef s, bool tf32);

// Two measurements of one device as one: the faster of each figure, and how far they were apart.
Peaks merge_peaks(const Peaks& before, const Peaks& after);
// "given", or "measured before and after in 2.50 s, 15 % apart: disturbed by other processes; measure again", the latter
// part from 10 % on.
std::string peaks_source(const Peaks& peaks);

// "f32,bf16,memory" in GFLOP/s, GFLOP/s and GB/s. Throws Error 2003.
Peaks parse_peaks(const std::string& text);

}  // namespace ft::app
