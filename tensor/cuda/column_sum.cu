// The sum of each column of a matrix: the gradient of a bias, where the columns are the channels of NHWC.
#include "tensor/cuda/bands.cuh"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/kernels.h"

namespace ft::cuda {
namespace {

template <class T>
struct Element {
  const T* x;
  int64_t columns;
  __device__ Sums<1> operator()(int64_t row, int64_t column) const {
    return {{to_float(x[row * columns + column])}};
  }
};

__global__ void add_bands_kernel(const Sums<1>* __restrict__ partial, int64_t bands,
                                 int64_t columns, float* __restrict__ sum) {
  for (int64_t c = first_item(); c < columns; c += item_stride())
    sum[c] = static_cast<float>(total_of(partial, bands, columns, c).v[0]);
}

}  // namespace

void column_sum(cudaStream_t s, DType type, const void* x, int64_t rows, int64_t columns,
                float* sum, void* workspace) {
  if (columns == 0) return;
  auto* partial = static_cast<Sums<1>*>(workspace);
  with_type(type, [&](auto scalar) {
    using T = decltype(scalar);
    sum_bands(s, Element<T>{static_cast<const T*>(x), columns}, rows, columns, partial);
  });
  launch(s, blocks_for(columns), kBlock, add_bands_kernel, partial, bands_of(rows), columns, sum);
}

}  // namespace ft::cuda
