// Element-wise ops and conversion. Memory-bound: 16 bytes a load and store, one pass. Outputs may be the memory of an
// input, so nothing here is __restrict__.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/launch.cuh"

namespace ft::cuda {
namespace {

struct Add {
  __device__ float operator()(float a, float b) const { return a + b; }
};
struct ReluForward {
  __device__ float operator()(float x) const { return relu(x); }
};
struct ReluBackward {  // of y, dy
  __device__ float operator()(float y, float dy) const { return y > 0 ? dy : 0; }
};

// y[i] = op(a[i], …), i < count: whole packs first, then what is left.
template <class T, class Op, class... In>
__global__ void map_kernel(Op op, int64_t count, T* y, const In*... in) {
  constexpr int kSize = Pack<T>::kSize;
  const int64_t packs = count / kSize;
  for (int64_t i = first_item(); i < packs; i += item_stride()) {
    const auto apply = [&](auto... x) {
      Pack<T> out;
#pragma unroll
      for (int k = 0; k < kSize; ++k) out.v[k] = from_float<T>(op(to_float(x.v[k])...));
      return out;
    };
    reinterpret_cast<Pack<T>*>(y)[i] = apply(reinterpret_cast<const Pack<In>*>(in)[i]...);
  }
  const int64_t i = packs * kSize + first_item();
  if (i < count) y[i] = from_float<T>(op(to_float(in[i])...));
}

template <class Op, class... In>
void map(cudaStream_t s, Op op, const Tensor& y, const In&... in) {
  FT_CHECK(((in.spec() == y.spec()) && ...),
           "element-wise ops need equal specs, " + y.spec().str());
  const int64_t count = y.spec().padded_elements();
  if (count == 0) return;
  with_type(y.spec().dtype, [&](auto type) {
    using T = decltype(type);
    launch(s, blocks_for(count / Pack<T>::kSize), kBlock,
           map_kernel<T, Op, std::conditional_t<true, T, In>...>, op, count, data_of<T>(y),
           data_of<T>(in)...);
  });
}

// Same layout, other type: four elements an item.
template <class From, class To>
__global__ void cast_kernel(const From* __restrict__ x, To* __restrict__ y, int64_t count) {
  struct alignas(4 * sizeof(From)) In {
    From v[4];
  };
  struct alignas(4 * sizeof(To)) Out {
    To v[4];
  };
  const int64_t quads = count / 4;
  for (int64_t i = first_item(); i < quads; i += item_stride()) {
    const In in = reinterpret_cast<const In*>(x)[i];
    Out out;
#pragma unroll
    for (int k = 0; k < 4; ++k) out.v[k] = from_float<To>(to_float(in.v[k]));
    reinterpret_cast<Out*>(y)[i] = out;
  }
  const int64_t i = quads * 4 + first_item();
  if (i < count) y[i] = from_float<To>(to_float(x[i]));
}

// Another layout: one element of y an item, padding becomes zero.
template <class From, class To>
__global__ void place_kernel(const From* __restrict__ x, Placement x_place, To* __restrict__ y,
                             Placement y_place, int64_t count) {
  for (int64_t i = first_item(); i < count; i += item_stride()) {
    const Position p = y_place.position(i);
    y[i] = p.c < y_place.channels ? from_float<To>(to_float(x[x_place.offset(p)]))
                                  : from_float<To>(0.0f);
  }
}

}  // namespace

bool kernels_run_here() {
  cudaFuncAttributes attributes;
  const bool runs =
      cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(cast_kernel<float, Bf16>)) ==
      cudaSuccess;
  cudaGetLastError();
  return runs;
}

void convert(cudaStream_t s, const Tensor& x, const Tensor& y) {
  FT_CHECK(x.shape() == y.shape(), "convert needs equal logical shapes");
  const int64_t count = y.spec().padded_elements();
  if (count == 0) return;
  if (x.spec() == y.spec()) {
    FT_CUDA(cudaMemcpyAsync(y.data(), x.data(), y.bytes(), cudaMemcpyDeviceToDevice, s));
    return;
  }
  with_type(x.spec().dtype, [&](auto from) {
    with_type(y.spec().dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      if (x.spec().layout == y.spec().layout)
        launch(s, blocks_for(count / 4), kBlock, cast_kernel<From, To>, data_of<From>(x),
               data_of<To>(y), count);
      else
        launch(s, blocks_for(count), kBlock, place_kernel<From, To>, data_of<From>(x),
               Placement(x.spec()), data_of<To>(y), Placement(y.spec()), count);
    });
  });
}

void CudaBackend::add(StreamRef s, const Tensor& a, const Tensor& b, const Tensor& y) {
  map(enter(s), Add{}, y, a, b);
}

void CudaBackend::relu_forward(StreamRef s, const Tensor& x, const Tensor& y) {
  map(enter(s), ReluForward{}, y, x);
}

// dx = dy where y > 0, else 0.
void CudaBackend::relu_backward(StreamRef s, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  map(enter(s), ReluBackward{}, dx, y, dy);
}

}  // namespace ft::cuda
