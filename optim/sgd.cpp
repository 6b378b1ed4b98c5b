// SGD with momentum over flat ranges.
#include "optim/sgd.h"

namespace ft {

Sgd::Sgd(ParameterSet& parameters, Backend& backend, const SgdOptions& options)
    : parameters_(parameters),
      backend_(backend),
      velocity_(parameters.gradients().spec(), backend.allocator()) {
  const auto stream = backend.make_stream();
  if (parameters.trainable_elements() > 0) backend.fill_zero(stream->ref(), velocity_);
  backend.synchronize(stream->ref());
  for (const ParameterGroup& group : parameters.groups())
    ranges_.push_back(
        {{options.rule, options.momentum, options.l2 * group.decay_factor, group.lr_factor},
         parameters.values().slice(group.first, {group.count}),
         velocity_.slice(group.first, {group.count}),
         group.first,
         group.count});
}

void Sgd::step(StreamRef s, const Tensor& gradients, const Tensor& state) {
  for (const Range& r : ranges_)
    backend_.sgd_update(s, r.spec, gradients.slice(r.first, {r.count}), state, r.v, r.w);
  parameters_.values_changed();
}

}  // namespace ft
