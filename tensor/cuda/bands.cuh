// Sums over the rows of a matrix {rows, columns}, the shape of every reduction over N,H,W in NHWC:
// bias gradients, batch-norm statistics and gradients. Rows are cut into bands; a block adds up its band for 32
// columns, and a second kernel of the caller adds up the bands. No atomics: the order of the additions depends on the
// shape alone.
#pragma once

#include <cstdint>

#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/shared_array.cuh"
#include "tensor/cuda/sizes.h"

namespace ft::cuda {

template <int count>
struct Sums {
  float v[count];
};

constexpr int kBandColumns = 32, kBandRows = 8;  // threads of a block: across and down

// partial[band, column] = sum over the rows of the band of term(row, column).
template <int count, class Term>
__global__ void band_kernel(Term term, int64_t rows, int64_t columns,
                            Sums<count>* __restrict__ partial) {
  auto* shared = shared_array<Sums<count>, kBandRows * kBandColumns, Term>();
  const int64_t column = int64_t{blockIdx.x} * kBandColumns + threadIdx.x;
  const int64_t bands = gridDim.y, band = blockIdx.y, end = rows * (band + 1) / bands;
  Sums<count> sum{};
  const auto add = [&](const Sums<count>& more) {
#pragma unroll
    for (int k = 0; k < count; ++k) sum.v[k] += more.v[k];
  };
  if (column < columns)
    for (int64_t row = rows * band / bands + threadIdx.y; row < end; row += kBandRows)
      add(term(row, column));
  shared[threadIdx.y * kBandColumns + threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= columns) return;
  for (int r = 1; r < kBandRows; ++r) add(shared[r * kBandColumns + threadIdx.x]);
  partial[band * columns + column] = sum;
}

// Queues it; `partial` has band_bytes(rows, columns, count).
template <int count, class Term>
void sum_bands(cudaStream_t s, const Term& term, int64_t rows, int64_t columns,
               Sums<count>* partial) {
  const dim3 grid(static_cast<unsigned>((columns + kBandColumns - 1) / kBandColumns),
                  static_cast<unsigned>(bands_of(rows)));
  launch(s, grid, dim3(kBandColumns, kBandRows), band_kernel<count, Term>, term, rows, columns,
         partial);
}

// The bands of one column together, in double: there are at most 256 of them.
template <int count>
struct Totals {
  double v[count];
};
template <int count>
__device__ Totals<count> total_of(const Sums<count>* __restrict__ partial, int64_t bands,
                                  int64_t columns, int64_t column) {
  Totals<count> total{};
  for (int64_t b = 0; b < bands; ++b)
    for (int k = 0; k < count; ++k)
      total.v[k] += static_cast<double>(partial[b * columns + column].v[k]);
  return total;
}

}  // namespace ft::cuda
