// SGD with momentum: one pass over the flat range. Rates are computed in double and rounded once.
#include "tensor/ops/update.h"

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"
#include "tensor/ops/pointwise.h"

namespace ft {
namespace {

struct SgdFactors {
  float rate, momentum, decay;
};

template <class G>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void caffe_range(
    const SgdFactors& f, const G* __restrict g, float* __restrict v, float* __restrict w,
    int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    v[i] = f.momentum * v[i] + f.rate * (cpu::load(g[i]) + f.decay * w[i]);
    w[i] -= v[i];
  }
}

template <class G>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void pytorch_range(
    const SgdFactors& f, const G* __restrict g, float* __restrict v, float* __restrict w,
    int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    v[i] = f.momentum * v[i] + (cpu::load(g[i]) + f.decay * w[i]);
    w[i] -= f.rate * v[i];
  }
}

}  // namespace

void CpuBackend::sgd_update(StreamRef, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                            const Tensor& v, const Tensor& w) {
  const int64_t count = w.spec().padded_elements();
  FT_CHECK(g.spec().padded_elements() == count && v.spec().padded_elements() == count,
           "update of " + w.spec().str() + " by " + g.spec().str());
  const StepState now = cpu::step_state(state);
  const SgdFactors factors{static_cast<float>(now.rate * spec.rate_factor),
                           static_cast<float>(spec.momentum), static_cast<float>(spec.decay)};
  cpu::with_element(g.spec().dtype, [&](auto element) {
    const auto* from = cpu::data_of<decltype(element)>(g);
    cpu::parallel_for(threads_, count, cpu::kGrain, [&](int64_t begin, int64_t end) {
      const auto update = spec.rule == SgdSpec::Rule::caffe ? caffe_range<decltype(element)>
                                                            : pytorch_range<decltype(element)>;
      update(factors, from + begin, v.as<float>() + begin, w.as<float>() + begin, end - begin);
    });
  });
}

}  // namespace ft
