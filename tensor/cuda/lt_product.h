// One matrix product of cuBLASLt for fixed shapes: descriptors and algorithm are settled once, running it only queues
// it. Matrices are column-major, as in BLAS. Reproducible: the algorithm is fixed and split sums go through f32.
#pragma once

#include <string>

#include "tensor/cuda/handles.h"
#include "tensor/ops/plan.h"

namespace ft::cuda {

// D (m x n) = op(A) op(B) (+ bias[m] in every column) (then max(0, .)), sums in f32 over k.
struct ProductSpec {
  int64_t m = 0, n = 0, k = 0;
  bool transpose_a = false, transpose_b = false;
  DType ab = DType::f32, d = DType::f32;  // types of A and B, and of D and the bias
  bool bias = false, relu = false;
  bool tf32 = false;
};

class LtProduct {
 public:
  // Asks cuBLASLt for its best algorithm; needs a device. Throws Error 3024 if there is none.
  LtProduct(cublasLtHandle_t handle, const ProductSpec& spec);

  size_t workspace_bytes() const { return workspace_bytes_; }
  std::string describe() const { return description_; }  // "cublaslt:66 tile 20 stages 35"
  // `bias`: nullptr if the spec has none.
  void run(cublasLtHandle_t handle, cudaStream_t s, const void* a, const void* b, const void* bias,
           void* d, void* workspace);

 private:
  UniqueHandle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy> product_;
  UniqueHandle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy> a_, b_, d_;
  cublasLtMatmulAlgo_t algorithm_{};
  size_t workspace_bytes_ = 0;
  std::string description_;
};

}  // namespace ft::cuda
