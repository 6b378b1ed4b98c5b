// The base learning rate as a function of the epoch. A value.
#pragma once

#include <cmath>
#include <cstdint>

namespace ft {

// constant: base; step: base * drop_factor^floor(epoch / drop_period), epochs from 0 (MATLAB's "piecewise").
struct Schedule {
  enum class Kind { constant, step };
  Kind kind = Kind::constant;
  double base = 0.01;
  double drop_factor = 0.1;
  int64_t drop_period = 10;

  double rate(int64_t epoch) const {
    if (kind == Kind::constant) return base;
    const int64_t drops = epoch / drop_period;
    return base * std::pow(drop_factor, static_cast<double>(drops));
  }
};

}  // namespace ft
