// Gradient check of a whole graph, as it is compiled and run for training: forks, frozen
// parameters, the memory plan and the order of the backward walk are part of what is checked. In
// double on ref.
#pragma once

#include "layers/compile.h"
#include "layers/gradient_check.h"

namespace ft {

// Tolerances for a network: thousands of ReLUs leave no step without a kink, so steps are smaller,
// and rounding, which grows with their inverse, is allowed for.
GradientCheckOptions network_gradient_options();

// Checks d sum(dy * y) for the image input and for every trainable parameter of `graph`, y the last
// value of the compilation. Images, labels and dy are drawn, parameters are initialised, all from
// options.seed. Element types, mode and kept values of `compile` are set by this function. Set
// options.max_elements: every element costs two forward passes.
std::vector<GradientCheck> check_graph_gradients(const Graph& graph, Backend& backend,
                                                 CompileOptions compile,
                                                 const GradientCheckOptions& options);

}  // namespace ft
