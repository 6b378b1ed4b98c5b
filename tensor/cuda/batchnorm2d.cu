// Batch normalisation in NHWC with optional residual and ReLU: two kernels for statistics (forward) or their
// gradients (backward), one that makes the output. M = N*H*W values a channel. aux:
// mean[c] and 1/deviation[c] in f32, then, with residual and ReLU, one byte an element: 1 where y >
// 0. Without a residual the backward pass finds the sign of y again from x, which takes no memory.
#include "tensor/cuda/bands.cuh"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/sizes.h"

namespace ft::cuda {
namespace {

// What both passes know of a channel.
struct Channels {
  const float *mean, *inverse, *gamma, *beta;
  // Written out, so that both passes round alike and agree on the sign of y.
  __device__ float normalized(float x, int64_t c) const {
    return __fmul_rn(__fsub_rn(x, mean[c]), inverse[c]);
  }
  __device__ float affine(float x, int64_t c) const {
    return fmaf(gamma[c], normalized(x, c), beta[c]);
  }
};

// Sums of d = x - shift and of d^2, where the shift, the channel's first element, keeps d small against rounding.
template <class T>
struct Moments {
  const T* x;
  int64_t columns;
  __device__ Sums<2> operator()(int64_t row, int64_t c) const {
    const float d = to_float(x[row * columns + c]) - to_float(x[c]);
    return {{d, d * d}};
  }
};

struct RunningRule {
  double epsilon, momentum;
  int64_t m;
};

// mean = sum(x) / M, variance = sum((x - mean)^2) / M;
// running = (1 - momentum) * running + momentum * (mean, variance * M / (M - 1))
template <class T>
__global__ void batch_statistics_kernel(const T* __restrict__ x,
                                        const Sums<2>* __restrict__ partial, int64_t bands,
                                        int64_t channels, RunningRule rule, float* mean,
                                        float* inverse, float* running_mean, float* running_var) {
  for (int64_t c = first_item(); c < channels; c += item_stride()) {
    const Totals<2> total = total_of(partial, bands, channels, c);
    const double m = static_cast<double>(rule.m), offset = total.v[0] / m;
    const double centre = static_cast<double>(to_float(x[c])) + offset;
    const double variance = fmax(total.v[1] / m - offset * offset, 0.0);
    mean[c] = static_cast<float>(centre);
    inverse[c] = static_cast<float>(1 / sqrt(variance + rule.epsilon));
    const double keep = 1 - rule.momentum, unbiased = variance * m / fmax(m - 1, 1.0);
    running_mean[c] =
        static_cast<float>(keep * static_cast<double>(running_mean[c]) + rule.momentum * centre);
    running_var[c] =
        static_cast<float>(keep * static_cast<double>(running_var[c]) + rule.momentum * unbiased);
  }
}

__global__ void running_statistics_kernel(const float* running_mean, const float* running_var,
                                          int64_t channels, double epsilon, float* mean,
                                          float* inverse) {
  for (int64_t c = first_item(); c < channels; c += item_stride()) {
    mean[c] = running_mean[c];
    inverse[c] = static_cast<float>(1 / sqrt(static_cast<double>(running_var[c]) + epsilon));
  }
}

// y = gamma * (x - mean) / deviation + beta (+ residual) (max(0, .)); V channels of one pixel an item.
template <class T, int V>
__global__ void forward_kernel(const T* x, const T* residual, T* y, uint8_t* mask,
                               Channels channels, int64_t columns, bool with_relu, int64_t items) {
  for (int64_t i = first_item(); i < items; i += item_stride()) {
    const int64_t at = i * V, c = at % columns;
    const Lanes<T, V> in = lanes<T, V>(x + at),
                      more = residual != nullptr ? lanes<T, V>(residual + at) : Lanes<T, V>{};
    Lanes<T, V> out;
    Lanes<uint8_t, V> positive;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      float v = channels.affine(to_float(in.v[k]), c + k);
      if (residual != nullptr) v += to_float(more.v[k]);
      positive.v[k] = v > 0;
      out.v[k] = from_float<T>(with_relu ? relu(v) : v);
    }
    if (mask != nullptr) lanes<uint8_t, V>(mask + at) = positive;
    lanes<T, V>(y + at) = out;
  }
}

// dz = dy where y > 0 (ReLU), else dy; xhat = (x - mean) / deviation. For the V channels from element `at` on, the
// first of which is channel c.
template <class T>
struct Slope {
  const T *x, *dy;
  const uint8_t* mask;  // nullptr: by the sign of y as x gives it
  Channels channels;
  bool with_relu;

  template <int V>
  __device__ void load(int64_t at, int64_t c, float (&dz)[V], float (&xhat)[V]) const {
    const Lanes<T, V> in = lanes<T, V>(x + at), slope = lanes<T, V>(dy + at);
    const Lanes<uint8_t, V> positive =
        mask != nullptr ? lanes<uint8_t, V>(mask + at) : Lanes<uint8_t, V>{};
#pragma unroll
    for (int k = 0; k < V; ++k) {
      const float v = to_float(in.v[k]);
      const bool passes =
          !with_relu || (mask != nullptr ? positive.v[k] != 0 : channels.affine(v, c + k) > 0);
      dz[k] = passes ? to_float(slope.v[k]) : 0.0f;
      xhat[k] = channels.normalized(v, c + k);
    }
  }
};

template <class T>
struct SlopeMoments {
  Slope<T> slope;
  int64_t columns;
  __device__ Sums<2> operator()(int64_t row, int64_t c) const {
    float dz[1], xhat[1];
    slope.load(row * columns + c, c, dz, xhat);
    return {{dz[0], dz[0] * xhat[0]}};
  }
};

// dbeta = sum(dz);  dgamma = sum(dz * xhat);  their shares of dx: both divided by M
__global__ void parameter_gradients_kernel(const Sums<2>* __restrict__ partial, int64_t bands,
                                           int64_t channels, int64_t m, float* dgamma, float* dbeta,
                                           Sums<2>* shares) {
  for (int64_t c = first_item(); c < channels; c += item_stride()) {
    const Totals<2> total = total_of(partial, bands, channels, c);
    if (dbeta != nullptr) dbeta[c] = static_cast<float>(total.v[0]);
    if (dgamma != nullptr) dgamma[c] = static_cast<float>(total.v[1]);
    shares[c] = {{static_cast<float>(total.v[0] / static_cast<double>(m)),
                  static_cast<float>(total.v[1] / static_cast<double>(m))}};
  }
}

// dresidual = dz
// mode batch:  dx = gamma / deviation * (dz - dbeta / M - xhat * dgamma / M) otherwise (no shares):  dx = gamma /
// deviation * dz
template <class T, int V>
__global__ void backward_kernel(Slope<T> slope, const Sums<2>* shares, T* dx, T* dresidual,
                                int64_t columns, int64_t items) {
  const Channels& channels = slope.channels;
  for (int64_t i = first_item(); i < items; i += item_stride()) {
    const int64_t at = i * V, c = at % columns;
    float dz[V], xhat[V];
    slope.load(at, c, dz, xhat);
    Lanes<T, V> out_x, out_residual;
#pragma unroll
    for (int k = 0; k < V; ++k) {
      float centred = dz[k];
      if (shares != nullptr) centred -= shares[c + k].v[0] + xhat[k] * shares[c + k].v[1];
      out_residual.v[k] = from_float<T>(dz[k]);
      out_x.v[k] = from_float<T>(channels.gamma[c + k] * channels.inverse[c + k] * centred);
    }
    if (dresidual != nullptr) lanes<T, V>(dresidual + at) = out_residual;
    if (dx != nullptr) lanes<T, V>(dx + at) = out_x;
  }
}

class CudaBatchNorm2d final : public BatchNorm2dPlan {
 public:
  CudaBatchNorm2d(CudaBackend& backend, const BatchNorm2dSpec& spec)
      : backend_(backend), spec_(spec) {
    backend.require(spec.x.dtype, "batchnorm2d");
    FT_CHECK(spec.x.layout == Layout::nhwc, "batch-norm on CUDA reads nhwc, not " + spec.x.str());
  }

  const TensorSpec& y_spec() const override { return spec_.x; }
  size_t aux_bytes() const override { return cuda::aux_bytes(spec_); }
  size_t workspace_bytes() const override { return cuda::workspace_bytes(spec_); }
  std::string describe(PassKind) const override { return "cuda:batchnorm2d"; }

  void forward(StreamRef s, const Tensor& x, const Tensor& residual, const BatchNormParams& params,
               const Tensor& y, const Tensor& aux, const Tensor& workspace) override;
  void backward(StreamRef s, const Tensor& x, const Tensor& dy, const BatchNormParams& params,
                const Tensor& aux, const BatchNormGradients& gradients,
                const Tensor& workspace) override;

 private:
  struct Parts {
    Sums<2>* partial;
    float* statistics;  // where there is no aux; the shares of the gradients in the backward pass
  };
  Parts parts(Scratch& scratch) const {
    auto* partial = static_cast<Sums<2>*>(scratch.take(band_bytes(spec_)));
    return {partial, static_cast<float*>(scratch.take(statistics_bytes(spec_)))};
  }
  uint8_t* mask_in(const Tensor& aux) const {
    return has_mask(spec_) ? static_cast<uint8_t*>(aux.data()) + statistics_bytes(spec_) : nullptr;
  }
  Channels channels(const float* statistics, const BatchNormParams& p) const {
    return {statistics, statistics + C, p.gamma.as<float>(), p.beta.as<float>()};
  }
  // Calls fn(T{}, number of channels a thread).
  template <class Fn>
  void with_lanes(Fn fn) const {
    with_type(spec_.x.dtype, [&](auto type) {
      using T = decltype(type);
      constexpr int kSize = Pack<T>::kSize;
      if (C % kSize == 0)
        fn(type, std::integral_constant<int, kSize>{});
      else
        fn(type, std::integral_constant<int, 1>{});
    });
  }

  CudaBackend& backend_;
  const BatchNorm2dSpec spec_;
  const int64_t C = spec_.x.shape.c(), M = spec_.x.shape.elements() / std::max<int64_t>(C, 1);
};

void CudaBatchNorm2d::forward(StreamRef s, const Tensor& x, const Tensor& residual,
                              const BatchNormParams& p, const Tensor& y, const Tensor& aux,
                              const Tensor& workspace) {
  FT_CHECK(x.spec() == spec_.x && y.spec() == spec_.x && residual.empty() != spec_.add_residual,
           "batch-norm runs on other tensors than it was planned for");
  if (M == 0 || C == 0) return;
  const cudaStream_t stream = backend_.enter(s);
  Scratch scratch(workspace);
  const Parts part = parts(scratch);
  float* statistics = aux_bytes() > 0 ? static_cast<float*>(aux.data()) : part.statistics;
  float *running_mean = p.running_mean.as<float>(), *running_var = p.running_var.as<float>();
  with_lanes([&](auto type, auto lanes) {
    using T = decltype(type);
    if (spec_.mode == BnMode::batch) {
      sum_bands(stream, Moments<T>{data_of<T>(x), C}, M, C, part.partial);
      launch(stream, blocks_for(C), kBlock, batch_statistics_kernel<T>, data_of<T>(x), part.partial,
             bands_of(M), C, RunningRule{spec_.epsilon, spec_.momentum, M}, statistics,
             statistics + C, running_mean, running_var);
    } else {
      launch(stream, blocks_for(C), kBlock, running_statistics_kernel, running_mean, running_var, C,
             spec_.epsilon, statistics, statistics + C);
    }
    const int64_t items = M * C / lanes;
    launch(stream, blocks_for(items), kBlock, forward_kernel<T, lanes>, data_of<T>(x),
           data_of<T>(residual), data_of<T>(y), mask_in(aux), channels(statistics, p), C,
           spec_.relu, items);
  });
}

void CudaBatchNorm2d::backward(StreamRef s, const Tensor& x, const Tensor& dy,
                               const BatchNormParams& p, const Tensor& aux,
                               const BatchNormGradients& g, const Tensor& workspace) {
  FT_CHECK(
      x.spec() == spec_.x && dy.spec() == spec_.x && aux.bytes() >= aux_bytes() && aux_bytes() > 0,
      "batch-norm runs on other tensors than it was planned for");
  if (M == 0 || C == 0) return;
  const cudaStream_t stream = backend_.enter(s);
  Scratch scratch(workspace);
  const Parts part = parts(scratch);
  auto* shares = reinterpret_cast<Sums<2>*>(part.statistics);
  const bool batch = spec_.mode == BnMode::batch;
  with_lanes([&](auto type, auto lanes) {
    using T = decltype(type);
    const Slope<T> slope{data_of<T>(x), data_of<T>(dy), mask_in(aux),
                         channels(static_cast<const float*>(aux.data()), p), spec_.relu};
    if (batch || !g.dgamma.empty() || !g.dbeta.empty()) {
      sum_bands(stream, SlopeMoments<T>{slope, C}, M, C, part.partial);
      launch(stream, blocks_for(C), kBlock, parameter_gradients_kernel, part.partial, bands_of(M),
             C, M, data_of<float>(g.dgamma), data_of<float>(g.dbeta), shares);
    }
    if (g.dx.empty() && g.dresidual.empty()) return;
    const int64_t items = M * C / lanes;
    launch(stream, blocks_for(items), kBlock, backward_kernel<T, lanes>, slope,
           batch ? shares : nullptr, data_of<T>(g.dx), data_of<T>(g.dresidual), C, items);
  });
}

}  // namespace

std::unique_ptr<BatchNorm2dPlan> CudaBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  return std::make_unique<CudaBatchNorm2d>(*this, spec);
}

}  // namespace ft::cuda
