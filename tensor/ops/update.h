// The update rule of SGD with momentum over a flat range of parameters.
#pragma once

namespace ft {

// g' = g + decay * w, rate' = rate * rate_factor, and then
//   caffe    v = momentum * v + rate' * g';  w = w - v         (Caffe, MATLAB: the rate is in the velocity)
//   pytorch  v = momentum * v + g';          w = w - rate' * v (PyTorch's SGD, dampening 0)
// They agree while the rate is constant and part after a rate drop (Caffe solver documentation;
// torch.optim.SGD, note on the difference to Sutskever et al.).
struct SgdSpec {
  enum class Rule { caffe, pytorch };
  Rule rule = Rule::caffe;
  double momentum = 0.9;
  double decay = 0;        // L2 factor times the group's decay factor
  double rate_factor = 1;  // times the base rate in the step state
};

}  // namespace ft
