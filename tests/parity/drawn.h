// What both sides of the parity tests compute alike: drawn weights, images and labels, and digests of tensors. The
// other side is scripts/golden/parity_rule.py; the numbers are equal bit for bit. Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "layers/parameter.h"

namespace ft::parity {

// A parameter in logical order, from u, the uniform numbers of Rng(0, test, 0, FNV-1a of the name), in double, rounded
// to f32: low + (high - low) * u, where weights reach gain * sqrt(6 / fan_in) (He et al. 2015), biases 0.1; gamma lies
// in [0.5, 1), running means in [-1, 1) * gain / 2, running variances in [1, 3) * gain^2. beta is u - 2 below u = 0.5 and
// u + 1 above: 1.5 to 2 on either side of 0, so that few values lie near the bend of the ReLU behind it. A branch's
// last batch-norm ("….bn3") has a quarter of these gammas and betas, as trained networks do: rounding errors then do
// not grow from block to block.
std::vector<float> draw_parameter(const Parameter& parameter, double gain);

// Uniform in [-scale, scale), by the same rule with `seed` and the name "image".
std::vector<float> draw_images(int64_t count, double scale, uint64_t seed);

// Image n has label (3 n + 1) mod classes.
std::vector<int32_t> draw_labels(int64_t batch, int64_t classes);

// What a golden file holds of a tensor with n elements: its L2 norm; sums with three vectors of signs (that of
// element i is minus where bit i mod 32 of word p of block i / 32 of Rng(0, test, 0, FNV-1a of "signs") is set); all
// entries of a tensor of up to 64, else those at Rng(…, "places").below(k, n) for k in 0 … 63.
struct Digest {
  int64_t count = 0;
  double norm = 0;
  std::array<double, 3> projections{};
  std::vector<double> samples;
};
Digest digest(std::span<const float> tensor);

// How far `got` is from `want`, relative to the norm of the latter: the largest of the difference of norms, the root
// mean square difference of projections (whose expectation is the norm of the difference), and the difference of the
// sampled entries, scaled up to the whole tensor.
double distance(const Digest& got, const Digest& want);

// |got - want| / |want| in L2.
double distance(std::span<const float> got, std::span<const double> want);

}  // namespace ft::parity
