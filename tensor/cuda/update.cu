// The SGD update: one kernel over a flat range of parameters.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"

namespace ft::cuda {
namespace {

struct SgdFactors {
  float momentum, decay;
  double rate_factor;
};

// g' = g + decay * w, rate = base rate (word 3 of the step state) * rate_factor, and then
//   caffe    v = momentum * v + rate * g';  w = w - v
//   pytorch  v = momentum * v + g';         w = w - rate * v
// The rate is read on the device, so that a replayed graph sees the value of its step.
template <SgdSpec::Rule rule>
__device__ inline void step(const SgdFactors& f, float rate, float g, float& v, float& w) {
  const float slope = g + f.decay * w;
  if constexpr (rule == SgdSpec::Rule::caffe) {
    v = f.momentum * v + rate * slope;
    w -= v;
  } else {
    v = f.momentum * v + slope;
    w -= rate * v;
  }
}

template <SgdSpec::Rule rule>
__global__ void sgd_kernel(SgdFactors factors, const double* __restrict__ base_rate,
                           const uint64_t* __restrict__ halted, const float* __restrict__ g,
                           float* __restrict__ v, float* __restrict__ w, int64_t count) {
  using P = Pack<float>;
  if (*halted != 0) return;
  const auto rate = static_cast<float>(*base_rate * factors.rate_factor);
  const int64_t packs = count / P::kSize;
  for (int64_t i = first_item(); i < packs; i += item_stride()) {
    const P slope = reinterpret_cast<const P*>(g)[i];
    P velocity = reinterpret_cast<P*>(v)[i], weight = reinterpret_cast<P*>(w)[i];
#pragma unroll
    for (int k = 0; k < P::kSize; ++k)
      step<rule>(factors, rate, slope.v[k], velocity.v[k], weight.v[k]);
    reinterpret_cast<P*>(v)[i] = velocity;
    reinterpret_cast<P*>(w)[i] = weight;
  }
  const int64_t i = packs * P::kSize + first_item();
  if (i < count) step<rule>(factors, rate, g[i], v[i], w[i]);
}

}  // namespace

void CudaBackend::sgd_update(StreamRef s, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                             const Tensor& v, const Tensor& w) {
  const int64_t count = w.shape().elements();
  FT_CHECK(g.shape().elements() == count && v.shape().elements() == count,
           "the update needs ranges of equal length");
  if (count == 0) return;
  const SgdFactors factors{static_cast<float>(spec.momentum), static_cast<float>(spec.decay),
                           spec.rate_factor};
  const auto kernel = spec.rule == SgdSpec::Rule::caffe ? sgd_kernel<SgdSpec::Rule::caffe>
                                                        : sgd_kernel<SgdSpec::Rule::pytorch>;
  launch(enter(s), blocks_for(count / Pack<float>::kSize), kBlock, kernel, factors,
         data_of<double>(state) + 3, data_of<uint64_t>(state) + 4, g.as<float>(), v.as<float>(),
         w.as<float>(), count);
}

}  // namespace ft::cuda
