// Matrix products of cuBLASLt.
#include "tensor/cuda/lt_product.h"

#include <fmt/format.h>

#include "tensor/cuda/sizes.h"
#include "tensor/error.h"

namespace ft::cuda {
namespace {

constexpr uint32_t kAlignment16 = 16;  // of every tensor (tensor/ops/plan.h)

cudaDataType_t type_of(DType type) {
  FT_CHECK(type == DType::f32 || type == DType::bf16, "matrix products take f32 and bf16");
  return type == DType::f32 ? CUDA_R_32F : CUDA_R_16BF;
}

cublasLtEpilogue_t epilogue_of(const ProductSpec& spec) {
  if (spec.bias) return spec.relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
  return spec.relu ? CUBLASLT_EPILOGUE_RELU : CUBLASLT_EPILOGUE_DEFAULT;
}

template <class T>
void set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t name, const T& value) {
  FT_CUBLAS(cublasLtMatmulDescSetAttribute(product, name, &value, sizeof value));
}

template <class T>
void prefer(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name,
            const T& value) {
  FT_CUBLAS(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value));
}

int config_of(const cublasLtMatmulAlgo_t& algorithm, cublasLtMatmulAlgoConfigAttributes_t name) {
  int value = -1;
  size_t written = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoConfigGetAttribute(&algorithm, name, &value, sizeof value, &written);
  return status == CUBLAS_STATUS_SUCCESS ? value : -1;
}

}  // namespace

LtProduct::LtProduct(cublasLtHandle_t handle, const ProductSpec& spec) {
  const auto compute = spec.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
  FT_CUBLAS(cublasLtMatmulDescCreate(product_.receive(), compute, CUDA_R_32F));
  const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
  set(product_.get(), CUBLASLT_MATMUL_DESC_TRANSA, operation(spec.transpose_a));
  set(product_.get(), CUBLASLT_MATMUL_DESC_TRANSB, operation(spec.transpose_b));
  set(product_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue_of(spec));
  if (spec.bias) set(product_.get(), CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, type_of(spec.d));

  const auto matrix = [](auto& layout, DType type, int64_t rows, int64_t columns, bool transpose) {
    if (transpose) std::swap(rows, columns);
    FT_CUBLAS(cublasLtMatrixLayoutCreate(layout.receive(), type_of(type),
                                         static_cast<uint64_t>(rows),
                                         static_cast<uint64_t>(columns), rows));
  };
  matrix(a_, spec.ab, spec.m, spec.k, spec.transpose_a);
  matrix(b_, spec.ab, spec.k, spec.n, spec.transpose_b);
  matrix(d_, spec.d, spec.m, spec.n, false);

  UniqueHandle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference;
  FT_CUBLAS(cublasLtMatmulPreferenceCreate(preference.receive()));
  prefer(preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kProductWorkspace);
  prefer(preference.get(), CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
         uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE});
  for (auto name :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
    prefer(preference.get(), name, kAlignment16);

  cublasLtMatmulHeuristicResult_t best{};
  int found = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle, product_.get(), a_.get(), b_.get(), d_.get(), d_.get(),
                                     preference.get(), 1, &best, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED || (status == CUBLAS_STATUS_SUCCESS && found == 0))
    throw Error(3024, fmt::format("matmul {} {}x{}x{}", name_of(spec.ab), spec.m, spec.n, spec.k),
                "cuBLASLt has no algorithm for it", "use another --precision, or --device cpu");
  check(status, "cublasLtMatmulAlgoGetHeuristic", __FILE__, __LINE__);
  algorithm_ = best.algo;
  workspace_bytes_ = best.workspaceSize;
  description_ =
      fmt::format("cublaslt:{} tile {} stages {}", config_of(algorithm_, CUBLASLT_ALGO_CONFIG_ID),
                  config_of(algorithm_, CUBLASLT_ALGO_CONFIG_TILE_ID),
                  config_of(algorithm_, CUBLASLT_ALGO_CONFIG_STAGES_ID));
}

void LtProduct::run(cublasLtHandle_t handle, cudaStream_t s, const void* a, const void* b,
                    const void* bias, void* d, void* workspace) {
  constexpr float kOne = 1, kZero = 0;
  if (bias != nullptr) set(product_.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias);
  FT_CUBLAS(cublasLtMatmul(handle, product_.get(), &kOne, a, a_.get(), b, b_.get(), &kZero, d,
                           d_.get(), d, d_.get(), &algorithm_, workspace, workspace_bytes_, s));
}

}  // namespace ft::cuda
