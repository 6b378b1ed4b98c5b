// Sums over the rows of a matrix: the gradient of a bias, where the columns are the channels of
// NHWC. Two kernels: each block adds up its own rows, then one thread a column adds up the blocks.
// No atomics: the order of the additions depends on the shape alone.
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/shared_array.cuh"

namespace ft::cuda {
namespace {

constexpr int
    kColumns = 32,
    kRows = 8;  // threads of a block: side by side over columns, one below the other over rows

// Bands of rows: one block each (times the blocks over columns).
int64_t bands_of(int64_t rows) {
  constexpr int64_t kLeast = 64, kMost = 256;  // rows a band; bands
  return std::clamp<int64_t>(rows / kLeast, 1, kMost);
}

template <class T>
__global__ void band_sum_kernel(const T* __restrict__ x, int64_t rows, int64_t columns,
                                float* __restrict__ partial) {
  float* sums = shared_array<float, kRows * kColumns, struct band_sums>();
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x, bands = gridDim.y,
                band = blockIdx.y;
  const int64_t first = rows * band / bands, end = rows * (band + 1) / bands;
  float sum = 0;
  if (column < columns)
    for (int64_t r = first + threadIdx.y; r < end; r += kRows)
      sum += to_float(x[r * columns + column]);
  sums[threadIdx.y * kColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int r = 1; r < kRows; ++r) sum += sums[r * kColumns + threadIdx.x];
  partial[band * columns + column] = sum;
}

__global__ void add_bands_kernel(const float* __restrict__ partial, int64_t bands, int64_t columns,
                                 float* __restrict__ sum) {
  for (int64_t c = first_item(); c < columns; c += item_stride()) {
    float total = 0;
    for (int64_t b = 0; b < bands; ++b) total += partial[b * columns + c];
    sum[c] = total;
  }
}

}  // namespace

size_t column_sum_bytes(int64_t rows, int64_t columns) {
  return static_cast<size_t>(bands_of(rows) * columns) * sizeof(float);
}

void column_sum(cudaStream_t s, DType type, const void* x, int64_t rows, int64_t columns,
                float* sum, void* workspace) {
  if (columns == 0) return;
  const int64_t bands = bands_of(rows);
  auto* partial = static_cast<float*>(workspace);
  const dim3 grid(static_cast<unsigned>((columns + kColumns - 1) / kColumns),
                  static_cast<unsigned>(bands));
  with_type(type, [&](auto scalar) {
    using T = decltype(scalar);
    launch(s, grid, dim3(kColumns, kRows), band_sum_kernel<T>, static_cast<const T*>(x), rows,
           columns, partial);
  });
  launch(s, blocks_for(columns), kBlock, add_bands_kernel, partial, bands, columns, sum);
}

}  // namespace ft::cuda
