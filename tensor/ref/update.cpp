// The SGD update by its definition, over a flat range of parameters.
#include <bit>

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

}  // namespace ft
