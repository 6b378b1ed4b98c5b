// Where an axis begins and ends and which values it names: multiples of 1, 2 or 5 times a power of
// ten. A plain value.
#pragma once

#include <string>
#include <vector>

namespace ft {

struct Ticks {
  double low = 0, high = 1, step = 1;

  // Multiples of step within [low, high].
  std::vector<double> values() const;
  // `value` times `factor` with as many decimals as the step needs; from 10,000 on 10k, 2.5M.
  std::string label(double value, double factor = 1) const;
};

// About `most` steps that cover [low, high], which may be equal. `smallest` is the least step.
Ticks nice_ticks(double low, double high, int most, double smallest);

}  // namespace ft
