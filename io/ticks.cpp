// Axis ticks.
#include "io/ticks.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ft {
namespace {

constexpr double kTiny = 1e-9;  // of a step: rounding of multiples

// Decimals that a multiple of `step` needs.
int decimals(double step) {
  return std::clamp(static_cast<int>(std::ceil(-std::log10(step) - kTiny)), 0, 15);
}

}  // namespace

Ticks nice_ticks(double low, double high, int most, double smallest) {
  if (low == high) {
    const double room = low == 0 ? 1 : std::abs(low) * 0.1;
    low -= room;
    high += room;
  }
  const double raw = (high - low) / most;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0})
    if (factor * power >= raw * (1 - kTiny)) step = factor * power;
  step = std::max(step, smallest);
  return {std::floor(low / step + kTiny) * step, std::ceil(high / step - kTiny) * step, step};
}

std::vector<double> Ticks::values() const {
  std::vector<double> all;
  const double first = std::ceil(low / step - kTiny), last = std::floor(high / step + kTiny);
  for (double k = first; k <= last; ++k) all.push_back(k * step);
  return all;
}

std::string Ticks::label(double value, double factor) const {
  const double v = std::abs(value * factor), s = step * factor;
  if (v < s * kTiny) return s >= 1 || s < 1e-4 ? "0" : fmt::format("{:.{}f}", 0.0, decimals(s));
  const char* sign = value * factor < 0 ? "\xe2\x88\x92" : "";
  if (s >= 1e15 || s < 1e-4) return fmt::format("{}{:.3g}", sign, v);
  const double largest = std::max(std::abs(low), std::abs(high)) * factor;
  if (largest >= 1e6) return fmt::format("{}{:.{}f}M", sign, v / 1e6, decimals(s / 1e6));
  if (largest >= 1e4) return fmt::format("{}{:.{}f}k", sign, v / 1e3, decimals(s / 1e3));
  return fmt::format("{}{:.{}f}", sign, v, decimals(s));
}

}  // namespace ft
