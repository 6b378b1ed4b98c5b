// The SGD update by its definition, over a flat range of parameters.
#include <bit>
#include <cmath>

#include "tensor/ref/ref.h"

namespace ft {

// rate = base rate (word 3 of the step state) * rate_factor;  g' = g + decay * w
//   caffe    v = momentum * v + rate * g';  w = w - v
//   pytorch  v = momentum * v + g';         w = w - rate * v
void RefBackend::sgd_update(StreamRef, const SgdSpec& spec, const Tensor& g_in, const Tensor& state,
                            const Tensor& v_inout, const Tensor& w_inout) {
  ref::with_scalar(w_inout.spec().dtype, [&](auto scalar) {
    using T = decltype(scalar);
    const int64_t count = w_inout.shape().elements();
    const ref::View<T> g(g_in, {count}), v(v_inout, {count}), w(w_inout, {count});
    const double rate = std::bit_cast<double>(state.as<uint64_t>()[3]) * spec.rate_factor;
    if (state.as<uint64_t>()[4] != 0) return;  // a loss was not finite
    for (int64_t i = 0; i < count; ++i) {
      const double slope = g(i) + spec.decay * w(i);
      if (spec.rule == SgdSpec::Rule::caffe) {
        v(i) = static_cast<T>(spec.momentum * v(i) + rate * slope);
        w(i) = static_cast<T>(double{w(i)} - v(i));
      } else {
        v(i) = static_cast<T>(spec.momentum * v(i) + slope);
        w(i) = static_cast<T>(w(i) - rate * v(i));
      }
    }
  });
}

void RefBackend::halt_unless_finite(StreamRef, const Tensor& x_in, const Tensor& state) {
  ref::with_scalar(x_in.spec().dtype, [&](auto scalar) {
    const int64_t count = x_in.shape().elements();
    const ref::View<decltype(scalar)> x(x_in, {count});
    for (int64_t i = 0; i < count; ++i)
      if (!std::isfinite(x(i))) state.as<uint64_t>()[4] = 1;
  });
}

}  // namespace ft
