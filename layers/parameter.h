// A parameter as a model describes it: its name is its key in weight files and in patterns. The values
// themselves lie in the flat buffers of a ParameterSet (layers/parameter_set.h).
#pragma once

#include <cstdint>
#include <string>

#include "tensor/shape.h"

namespace ft {

enum class ParamRole : uint8_t { weight, bias, gamma, beta, running_mean, running_var };

// How a value starts where no weight file gives it; drawn by Rng(seed, init, 0, hash of the name).
struct Init {
  enum class Kind : uint8_t {
    constant,        // `value`
    he_normal,       // normal, variance 2 / fan_in (He et al. 2015)
    glorot_uniform,  // uniform, variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)
  };
  Kind kind = Kind::constant;
  double value = 0;
  int64_t fan_in = 1, fan_out = 1;
};

struct Parameter {
  std::string name;  // "features.0.weight"
  Shape shape;       // logical: {K,C/G,R,S}, {O,I}, {C}
  ParamRole role = ParamRole::weight;
  Init init;
  bool trainable = true;    // false: frozen. Running statistics never train.
  double lr_factor = 1;     // times the base rate
  double decay_factor = 1;  // times the L2 factor

  bool is_statistic() const {
    return role == ParamRole::running_mean || role == ParamRole::running_var;
  }
};

}  // namespace ft
