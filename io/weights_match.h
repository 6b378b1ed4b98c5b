// Strict matching of a weight file with a model: every tensor of the file is used once, every
// tensor of the model is set once; a new head is the only exception, and only by name. Plain
// values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/weights.h"

namespace ft {

// A tensor that the model wants.
struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};

struct ShapeMismatch {
  std::string name;
  std::vector<int64_t> expected, found;
};

// What fits and what does not, in the order of the model (or of the file, for what only it has).
struct LoadReport {
  std::vector<std::string> loaded;   // from the file
  std::vector<std::string> fresh;    // allowed to be new: not taken from the file
  std::vector<std::string> skipped;  // in the file, replaced by a fresh tensor of that name
  std::vector<std::string> missing;  // wanted, not in the file
  std::vector<std::string> extra;    // in the file, not wanted
  std::vector<ShapeMismatch> shape_mismatch;

  bool fits() const { return missing.empty() && extra.empty() && shape_mismatch.empty(); }
};

// True for the names that the caller will initialise itself (the new head).
using AllowedNew = std::function<bool(std::string_view name)>;

// Compares without throwing. An empty `allowed_new` allows nothing.
LoadReport compare_tensors(const std::vector<ExpectedTensor>& expected, const WeightFile& file,
                           const AllowedNew& allowed_new = {});

// The same, but throws Error 2320 with the three lists and a hint unless the report fits().
LoadReport match_tensors(const std::vector<ExpectedTensor>& expected, const WeightFile& file,
                         const AllowedNew& allowed_new = {});

// "318 loaded, 2 new (fc.weight, fc.bias), 2 of the file skipped" for the run's header.
std::string summary(const LoadReport& report);

}  // namespace ft
