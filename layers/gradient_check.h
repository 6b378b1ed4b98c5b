// Gradient check: a backward pass against central differences of its forward pass, in double on
// ref. Core of the tests of all layers and of `ftrun gradcheck`. With a random upstream gradient
// dy, the scalar sum(dy * y) is differentiated for every input and every trainable parameter. What
// a layer does not state in its LayerPlan is poisoned with not-a-number before backward runs:
// inputs and outputs that it does not read, gradients that it has to overwrite, workspace. Not
// synchronised.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "layers/layer.h"

namespace ft {

struct GradientCheckOptions {
  double epsilon = 1e-5;    // step to both sides
  double tolerance = 1e-6;  // of |numeric - analytic| / max(|numeric|, |analytic|, floor)
  double floor = 1e-3;
  int64_t max_elements =
      0;  // so many of a tensor, spread evenly, kinks replaced by neighbours; 0: all
  // An element that is off is left out as a kink if y bends there enough to explain the difference,
  // and by more than this many steps. 0 for whole networks, where one ReLU of thousands bends the
  // loss a little.
  double kink = 0.01;
  uint64_t seed = 1;  // of the values, the parameters and dy
};

// What came out for one tensor. `worst` is the index (plain order) with the largest error.
struct GradientCheck {
  std::string name;  // "x0", "weight"; "x0 in place" where y took the memory of x and dx that of dy
  int64_t checked = 0;
  int64_t kinks = 0;  // left out: the function has no derivative there
  double max_error = 0;
  int64_t worst = -1;
  double numeric = 0, analytic = 0;
  bool passed = false;  // something was checked, nothing is off, at most half are kinks

  std::string str() const;
};

// The core: differentiates sum(dy * y) for the elements of x, which is changed and restored.
// `forward` computes y from x. `dx` is the analytic gradient.
GradientCheck check_gradient(const std::string& name, std::span<double> x,
                             std::span<const double> dx, const std::function<void()>& forward,
                             std::span<const double> y, std::span<const double> dy,
                             const GradientCheckOptions& options);

// How a layer is set up for the check.
struct LayerCheckSetup {
  std::vector<Shape> x{};  // of the inputs
  // f64, or i32 for labels: 0 ... C-1 of input 0, and -1 for the second sample. Empty: all are f64.
  std::vector<DType> x_dtypes{};
  bool training = true;
  BnMode bn = BnMode::batch;
  bool wants_dx = true, wants_dw = true;  // false: a stem; frozen parameters
};

// Checks every f64 input and trainable parameter of a clone of `layer`; where the layer may work in
// place, its backward is checked in place as well. `backend` computes in f64 on the host (ref).
std::vector<GradientCheck> check_layer_gradients(const Layer& layer, Backend& backend,
                                                 const LayerCheckSetup& setup,
                                                 const GradientCheckOptions& options = {});

bool all_passed(std::span<const GradientCheck> checks);

}  // namespace ft
