// Weights of the triangle filter.
#include "io/resize_taps.h"

#include <algorithm>
#include <cmath>

namespace ft {
namespace {

double triangle(double x) { return std::max(0.0, 1.0 - std::fabs(x)); }

// Weights of one output into `to`; `scratch` holds them in double meanwhile. Returns the first
// input.
int weights_of(int in, double scale, int output, std::vector<double>& scratch, int* taps,
               int32_t* to) {
  const double support = std::max(scale, 1.0);
  const double centre = (output + 0.5) * scale;
  const int low = std::max(0, static_cast<int>(centre - support + 0.5));
  const int high = std::min(in, static_cast<int>(centre + support + 0.5));
  const double inverse = 1.0 / support;
  double sum = 0;
  for (int i = low; i < high; ++i) {
    scratch[static_cast<size_t>(i - low)] = triangle((i - centre + 0.5) * inverse);
    sum += scratch[static_cast<size_t>(i - low)];
  }
  // Inputs at the very edge of the triangle weigh nothing and are left out.
  int first = low, last = high - 1;
  while (first < last && scratch[static_cast<size_t>(first - low)] == 0) ++first;
  while (last > first && scratch[static_cast<size_t>(last - low)] == 0) --last;
  *taps = last - first + 1;
  for (int i = 0; i < *taps; ++i) {
    const double w = scratch[static_cast<size_t>(first - low + i)] / sum;
    to[i] = static_cast<int32_t>(0.5 + w * (1 << kResizeBits));
  }
  return first;
}

}  // namespace

void build_resize_taps(int in, int out, int first, int count, ResizeTaps& t) {
  t.in = in;
  t.out = out;
  t.first = first;
  t.count = count;
  const double scale = static_cast<double>(in) / out;
  const int most = static_cast<int>(std::ceil(std::max(scale, 1.0))) * 2 + 1;
  t.stride = (most + 3) / 4 * 4;
  const auto entries = static_cast<size_t>(count), stride = static_cast<size_t>(t.stride);
  t.start.resize(entries);
  t.taps.resize(entries);
  t.weight.assign(entries * stride, 0);
  std::vector<double> scratch(static_cast<size_t>(most));
  for (size_t x = 0; x < entries; ++x) {
    t.start[x] = weights_of(in, scale, first + static_cast<int>(x), scratch, &t.taps[x],
                            &t.weight[x * stride]);
  }
  t.high_pairs.resize(t.weight.size() / 2);
  t.low_pairs.resize(t.weight.size() / 2);
  constexpr int32_t kLow = (1 << kResizeLowBits) - 1;
  for (size_t i = 0; i < t.high_pairs.size(); ++i) {
    const int32_t a = t.weight[2 * i], b = t.weight[2 * i + 1];
    t.high_pairs[i] = (b >> kResizeLowBits) << 16 | a >> kResizeLowBits;
    t.low_pairs[i] = (b & kLow) << 16 | (a & kLow);
  }
}

}  // namespace ft
