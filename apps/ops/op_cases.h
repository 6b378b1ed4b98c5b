// The one table of op cases: shapes on which every backend is judged against ref (tests/tensor),
// gradients are checked (tests/layers) and speed is measured (bench, ftrun bench --op). Small cases are odd on
// purpose: H != W, strides, groups, a single sample, channels that fill no block, windows cut at
// the border. Cases marked `speed` are those of the networks, at batch 32. Specs are f32 in plain
// layout; users change what they need.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "tensor/backend.h"

namespace ft::ops {

struct ReluCase {
  Shape x;
};
struct AddCase {
  Shape x;
};
struct DropoutCase {
  Shape x;
  DropoutSpec spec;
  StepState state;
};
struct LossCase {
  SoftmaxCrossEntropySpec spec;
  double scale = 1;  // of the logits
};
struct SgdCase {
  SgdSpec spec;
  int64_t count = 0;
};
struct NormalizeCase {
  Shape y;  // {N,3,H,W}
  NormalizeSpec spec;
};
struct ConvertCase {
  Shape x;
};

using OpSpec = std::variant<Conv2dSpec, MatmulSpec, Pool2dSpec, AdaptiveAvgPool2dSpec,
                            BatchNorm2dSpec, LrnSpec, ReluCase, AddCase, DropoutCase, LossCase,
                            SgdCase, NormalizeCase, ConvertCase>;

struct OpCase {
  std::string name;  // "conv2d/2x13x9x7/k10_3x3/pad1/bias"
  OpSpec op;
  bool speed = false;
};

// What the table calls a spec: "conv2d/2x13x9x7/k10_3x3/pad1/bias".
std::string case_name(const OpSpec& op);

// Made once; the same order every time.
const std::vector<OpCase>& op_cases();

// The cases of one op.
template <class Spec>
std::vector<OpCase> op_cases_of(bool speed = false) {
  std::vector<OpCase> found;
  for (const OpCase& c : op_cases())
    if (c.speed == speed && std::holds_alternative<Spec>(c.op)) found.push_back(c);
  return found;
}

// How far an element may be from the reference in double, relative to max(|element|, root mean
// square of the tensor), for a sum of `terms` products. Inputs are rounded to the element type
// before both compute.
//   f32   1e-5 * sqrt(terms / 1000), at least 1e-6: rounding errors of a sum grow like a random
//   walk bf16  2^-7: one rounding of the output (2^-9) and of what an op keeps in between
double tolerance(DType dtype, int64_t terms);

}  // namespace ft::ops
