// Element types inside kernels: everything is computed in f32 and rounded once when stored.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "tensor/error.h"
#include "tensor/tensor.h"

namespace ft::cuda {

using Bf16 = __nv_bfloat16;

template <class T>
__host__ __device__ inline float to_float(T v) {
  return static_cast<float>(v);
}
template <class T>
__host__ __device__ inline T from_float(float v) {
  if constexpr (sizeof(T) == sizeof(float))
    return v;
  else
    return __float2bfloat16_rn(v);
}

// 16 bytes of elements: one load, one store. Tensors start at multiples of 16 bytes (tensor/ops/plan.h).
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};

// V elements side by side, loaded and stored at once; V = Pack<T>::kSize where the extents allow it, else 1.
template <class T, int V>
struct alignas(V * sizeof(T)) Lanes {
  T v[V];
};
template <class T, int V>
__device__ Lanes<T, V>& lanes(T* p) {
  return *reinterpret_cast<Lanes<T, V>*>(p);
}
template <class T, int V>
__device__ const Lanes<T, V>& lanes(const T* p) {
  return *reinterpret_cast<const Lanes<T, V>*>(p);
}

// max(0, v); not-a-number stays what it is, so that a broken step is seen in the loss.
__host__ __device__ inline float relu(float v) { return v <= 0 ? 0 : v; }

// Calls fn(T{}) with the element type of a tensor: float or Bf16.
template <class Fn>
void with_type(DType type, Fn&& fn) {
  FT_CHECK(type == DType::f32 || type == DType::bf16, "CUDA kernels compute in f32 and bf16");
  if (type == DType::f32)
    fn(float{});
  else
    fn(Bf16{});
}

template <class T>
T* data_of(const Tensor& t) {
  return static_cast<T*>(t.data());
}

// An index split by a layout: element i of memory is logical (n,c,h,w). Channels from C on are padding.
struct Position {
  int64_t n, c, h, w;
};

// Where the elements of a tensor lie, for kernels: the rule of TensorSpec::offset in a form that a GPU can use.
struct Placement {
  int64_t channels, height, width;  // logical C,H,W
  int64_t block;  // channels side by side in memory: 1 plain, C nhwc, 8 or 16 blocked

  explicit Placement(const TensorSpec& spec)
      : channels(spec.shape.c()), height(spec.shape.h()), width(spec.shape.w()), block(1) {
    if (spec.layout == Layout::nhwc) block = channels;
    if (spec.layout == Layout::nchw8c) block = 8;
    if (spec.layout == Layout::nchw16c) block = 16;
  }
  __host__ __device__ int64_t blocks() const { return (channels + block - 1) / block; }
  __host__ __device__ Position position(int64_t i) const {
    const int64_t in_block = i % block, pixel = i / block;
    const int64_t w = pixel % width, row = pixel / width;
    const int64_t h = row % height, group = row / height;
    return {group / blocks(), group % blocks() * block + in_block, h, w};
  }
  __host__ __device__ int64_t offset(const Position& p) const {
    const int64_t group = p.n * blocks() + p.c / block;
    return ((group * height + p.h) * width + p.w) * block + p.c % block;
  }
};

}  // namespace ft::cuda
