// Local response normalisation in NHWC, where the channels of a pixel lie side by side.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/shared_array.cuh"

namespace ft::cuda {
namespace {

constexpr int kMostHalf = 16;  // channels on either side of a window

struct Rule {
  int64_t channels;
  int half;  // the window of channel c is c - half ... c + half, cut at the borders
  float k, alpha_over_size, beta;

  // k + alpha / size * sum of squares over the window of element i, which is channel c.
  template <class T>
  __device__ float scale(const T* __restrict__ x, int64_t i, int64_t c) const {
    float squares = 0;
    for (int64_t j = below(c); j <= above(c); ++j) {
      const float v = to_float(x[i + j]);
      squares += v * v;
    }
    return k + alpha_over_size * squares;
  }
  __device__ int64_t below(int64_t c) const { return -(c < half ? c : half); }
  __device__ int64_t above(int64_t c) const {
    return channels - 1 - c < half ? channels - 1 - c : half;
  }
};

// y = x * scale^-beta
template <class T>
__global__ void forward_kernel(const T* __restrict__ x, T* __restrict__ y, Rule rule,
                               int64_t count) {
  for (int64_t i = first_item(); i < count; i += item_stride())
    y[i] = from_float<T>(to_float(x[i]) * powf(rule.scale(x, i, i % rule.channels), -rule.beta));
}

// dx[c] = dy[c] * scale[c]^-beta
//         - 2 * alpha * beta / size * x[c] * sum over the window of c of dy[j] * x[j] *
//         scale[j]^(-beta - 1)
// A block works on kBlock elements in a row and shares the terms of the sum, those of half a window on either side
// included. The windows of other pixels end where the channels do.
template <class T>
__global__ void backward_kernel(const T* __restrict__ x, const T* __restrict__ dy,
                                T* __restrict__ dx, Rule rule, int64_t count) {
  auto* terms = shared_array<float, kBlock + 2 * kMostHalf, Rule>();
  for (int64_t first = int64_t{blockIdx.x} * kBlock; first < count;
       first += int64_t{gridDim.x} * kBlock) {
    for (int t = static_cast<int>(threadIdx.x); t < static_cast<int>(kBlock) + 2 * rule.half;
         t += kBlock) {
      const int64_t j = first - rule.half + t;
      if (j < 0 || j >= count) continue;
      const float scale = rule.scale(x, j, j % rule.channels);
      terms[t] = to_float(dy[j]) * to_float(x[j]) * powf(scale, -rule.beta - 1);
    }
    __syncthreads();
    const int64_t i = first + threadIdx.x, c = i % rule.channels;
    if (i < count) {
      float sum = 0;
      for (int64_t j = rule.below(c); j <= rule.above(c); ++j)
        sum += terms[static_cast<int64_t>(threadIdx.x) + rule.half + j];
      const float direct = to_float(dy[i]) * powf(rule.scale(x, i, c), -rule.beta);
      dx[i] = from_float<T>(direct - 2 * rule.alpha_over_size * rule.beta * to_float(x[i]) * sum);
    }
    __syncthreads();
  }
}

class CudaLrn final : public LrnPlan {
 public:
  CudaLrn(CudaBackend& backend, const LrnSpec& spec)
      : backend_(backend),
        y_(spec.x),
        rule_{spec.x.shape.c(), static_cast<int>(spec.size / 2), static_cast<float>(spec.k),
              static_cast<float>(spec.alpha / static_cast<double>(spec.size)),
              static_cast<float>(spec.beta)} {
    backend.require(spec.x.dtype, "lrn");
    FT_CHECK(spec.x.layout == Layout::nhwc, "LRN on CUDA reads nhwc, not " + spec.x.str());
    FT_CHECK(spec.size >= 1 && spec.size % 2 == 1 && rule_.half <= kMostHalf,
             "the window of an LRN has an odd size of at most 33");
  }

  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind) const override { return "cuda:lrn"; }

  void forward(StreamRef s, const Tensor& x, const Tensor& y, const Tensor&,
               const Tensor&) override {
    FT_CHECK(x.spec() == y_ && y.spec() == y_, "lrn runs on other tensors than it was planned for");
    run([&](auto type, int64_t count) {
      using T = decltype(type);
      launch(backend_.enter(s), blocks_for(count), kBlock, forward_kernel<T>, data_of<T>(x),
             data_of<T>(y), rule_, count);
    });
  }
  void backward_data(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor&,
                     const Tensor& dx, const Tensor&) override {
    FT_CHECK(x.spec() == y_ && dy.spec() == y_ && dx.spec() == y_,
             "lrn runs on other tensors than it was planned for");
    run([&](auto type, int64_t count) {
      using T = decltype(type);
      launch(backend_.enter(s), blocks_for(count), kBlock, backward_kernel<T>, data_of<T>(x),
             data_of<T>(dy), data_of<T>(dx), rule_, count);
    });
  }

 private:
  template <class Fn>
  void run(Fn fn) const {
    const int64_t count = y_.shape.elements();
    if (count > 0) with_type(y_.dtype, [&](auto type) { fn(type, count); });
  }

  CudaBackend& backend_;
  const TensorSpec y_;
  const Rule rule_;
};

}  // namespace

std::unique_ptr<LrnPlan> CudaBackend::make_lrn(const LrnSpec& spec) {
  return std::make_unique<CudaLrn>(*this, spec);
}

}  // namespace ft::cuda
