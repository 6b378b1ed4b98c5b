// Kernels that plans run beside those of the libraries, as plain functions over tensors.
// All of them queue on `s` and return at once; specs are those of the op (tensor/backend.h says what each computes).
#pragma once

#include <cuda_runtime_api.h>

#include "tensor/backend.h"

namespace ft::cuda {

// pointwise.cu. kernels_run_here: whether the plugin holds code for the current device.
bool kernels_run_here();
void convert(cudaStream_t s, const Tensor& x, const Tensor& y);

// column_sum.cu: sum[c] = sum over r of x[r,c], x {rows, columns} in memory order, sum in f32; the gradient of a
// bias. The order of the additions depends on the shape alone. `workspace` has column_sum_bytes() of sizes.h.
void column_sum(cudaStream_t s, DType type, const void* x, int64_t rows, int64_t columns,
                float* sum, void* workspace);

}  // namespace ft::cuda
