// SGD with momentum: one pass over the flat range. Rates are computed in double and rounded once.
#include "tensor/ops/update.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"
#include "tensor/ops/pointwise.h"

namespace ft {

void CpuBackend::sgd_update(StreamRef, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                            const Tensor& v, const Tensor& w) {
  const int64_t count = w.spec().padded_elements();
  FT_CHECK(g.spec().padded_elements() == count && v.spec().padded_elements() == count,
           "update of " + w.spec().str() + " by " + g.spec().str());
  const StepState now = cpu::step_state(state);
  if (now.halted != 0) return;
  const cpu::SgdFactors factors{static_cast<float>(now.rate * spec.rate_factor),
                                static_cast<float>(spec.momentum), static_cast<float>(spec.decay)};
  cpu::with_element(g.spec().dtype, [&](auto element) {
    using T = decltype(element);
    const cpu::ElementKernels<T>& kernels = kernels_;
    const auto update = spec.rule == SgdSpec::Rule::caffe ? kernels.sgd_caffe : kernels.sgd_pytorch;
    cpu::parallel_for(threads_, count, cpu::kGrain, [&](int64_t begin, int64_t end) {
      update(factors, cpu::data_of<T>(g) + begin, v.as<float>() + begin, w.as<float>() + begin,
             end - begin);
    });
  });
}

void CpuBackend::halt_unless_finite(StreamRef, const Tensor& x, const Tensor& state) {
  const std::span values(x.as<float>(), static_cast<size_t>(x.shape().elements()));
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    state.as<uint64_t>()[4] = 1;
}

}  // namespace ft
