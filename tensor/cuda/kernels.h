// What the backend's own kernels do, as plain functions over tensors; the rest of the backend sees
// only this header. All of them queue on `s` and return at once; specs are those of the op
// (tensor/backend.h says what each computes).
#pragma once

#include <cuda_runtime_api.h>

#include "tensor/backend.h"

namespace ft::cuda {

// pointwise.cu. kernels_run_here: whether the plugin holds code for the current device.
bool kernels_run_here();
void convert(cudaStream_t s, const Tensor& x, const Tensor& y);
void add(cudaStream_t s, const Tensor& a, const Tensor& b, const Tensor& y);
void relu_forward(cudaStream_t s, const Tensor& x, const Tensor& y);
void relu_backward(cudaStream_t s, const Tensor& y, const Tensor& dy, const Tensor& dx);

// dropout.cu, image.cu, update.cu
void dropout(cudaStream_t s, const DropoutSpec& spec, const Tensor& x, const Tensor& state,
             const Tensor& y);
void normalize_image(cudaStream_t s, const NormalizeSpec& spec, const Tensor& pixels,
                     const Tensor& y);
void sgd_update(cudaStream_t s, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                const Tensor& v, const Tensor& w);

// loss.cu
void softmax_cross_entropy_forward(cudaStream_t s, const Tensor& logits, const Tensor& labels,
                                   const Tensor& loss, const Tensor& probability);
void softmax_cross_entropy_backward(cudaStream_t s, const Tensor& probability, const Tensor& labels,
                                    const Tensor& dloss, const Tensor& dlogits);
void halt_unless_finite(cudaStream_t s, const Tensor& x, const Tensor& state);

// column_sum.cu: sum[c] = sum over r of x[r,c], x {rows, columns} in memory order, sum in f32; the
// gradient of a bias. The order of the additions depends on the shape alone. `workspace` has
// column_sum_bytes() of sizes.h.
void column_sum(cudaStream_t s, DType type, const void* x, int64_t rows, int64_t columns,
                float* sum, void* workspace);

}  // namespace ft::cuda
