// SGD with momentum over the flat buffers of a ParameterSet: one kernel a group of equal factors.
// Owns the velocity. Used by one thread; parameters and backend outlive it.
#pragma once

#include "layers/parameter_set.h"
#include "tensor/backend.h"

namespace ft {

struct SgdOptions {
  SgdSpec::Rule rule = SgdSpec::Rule::caffe;
  double momentum = 0.9;
  double l2 = 1e-4;  // times the decay factor of each parameter
};

class Sgd {
 public:
  Sgd(ParameterSet& parameters, Backend& backend, const SgdOptions& options);

  // Updates every trainable parameter from `gradients` (flat, as ParameterSet::gradients()) with the base
  // rate in `state`, and tells the parameters that they changed. Queued on `s`.
  void step(StreamRef s, const Tensor& gradients, const Tensor& state);

  const Tensor& velocity() const { return velocity_; }  // part of the run's state

 private:
  struct Range {
    SgdSpec spec;
    Tensor w, v;
    int64_t first, count;
  };
  ParameterSet& parameters_;
  Backend& backend_;
  Tensor velocity_;
  std::vector<Range> ranges_;
};

}  // namespace ft
