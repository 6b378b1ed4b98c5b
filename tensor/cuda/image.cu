// From u8 pixels to the first tensor of a network.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"

namespace ft::cuda {
namespace {

struct Normalization {
  float scale, mean[3], deviation[3];
  int first;  // channel 0 reads this byte of a pixel: 0 RGB, 2 BGR
  __device__ float operator()(const uint8_t* pixel, int c) const {
    const float v = static_cast<float>(pixel[first == 0 ? c : 2 - c]);
    return (scale * v - mean[c]) / deviation[c];
  }
};

// y[n,c,h,w] = (scale * pixel[n,h,w,c'] - mean[c]) / deviation[c]; one pixel an item. `in_memory` channels lie side
// by side (1: planes); those from 3 on are padding.
template <class T, int in_memory>
__global__ void normalize_kernel(const uint8_t* __restrict__ pixels, T* __restrict__ y,
                                 Normalization rule, int64_t count, int64_t plane) {
  for (int64_t i = first_item(); i < count; i += item_stride()) {
    const uint8_t* pixel = pixels + 3 * i;
    if constexpr (in_memory == 1) {
      T* out = y + i / plane * 3 * plane + i % plane;
      for (int c = 0; c < 3; ++c) out[c * plane] = from_float<T>(rule(pixel, c));
    } else {
      struct alignas(in_memory == 8 ? 16 : sizeof(T)) Pixel {
        T v[in_memory];
      } out;
#pragma unroll
      for (int c = 0; c < in_memory; ++c) out.v[c] = from_float<T>(c < 3 ? rule(pixel, c) : 0.0f);
      reinterpret_cast<Pixel*>(y)[i] = out;
    }
  }
}

template <class T>
void normalize(cudaStream_t s, const Normalization& rule, const Tensor& pixels, const Tensor& y) {
  const int64_t plane = y.shape().h() * y.shape().w(), count = y.shape().n() * plane;
  if (count == 0) return;
  const auto run = [&](auto kernel) {
    launch(s, blocks_for(count), kBlock, kernel, data_of<uint8_t>(pixels), data_of<T>(y), rule,
           count, plane);
  };
  switch (y.spec().layout) {
    case Layout::plain:
      return run(normalize_kernel<T, 1>);
    case Layout::nhwc:
      return run(normalize_kernel<T, 3>);
    case Layout::nchw8c:
      return run(normalize_kernel<T, 8>);
    case Layout::nchw16c:
      break;
  }
  FT_CHECK(false, "images on CUDA are plain, nhwc or nchw8c, not " + y.spec().str());
}

}  // namespace

void CudaBackend::normalize_image(StreamRef s, const NormalizeSpec& spec, const Tensor& pixels,
                                  const Tensor& y) {
  const Shape& shape = y.shape();
  FT_CHECK(shape.c() == 3 && pixels.shape() == (Shape{shape.n(), shape.h(), shape.w(), 3}),
           "pixels {N,H,W,3} against y {N,3,H,W}");
  Normalization rule{static_cast<float>(spec.scale), {}, {}, spec.bgr ? 2 : 0};
  for (size_t c = 0; c < 3; ++c) {
    rule.mean[c] = static_cast<float>(spec.mean[c]);
    rule.deviation[c] = static_cast<float>(spec.deviation[c]);
  }
  with_type(y.spec().dtype,
            [&](auto type) { normalize<decltype(type)>(enter(s), rule, pixels, y); });
}

}  // namespace ft::cuda
