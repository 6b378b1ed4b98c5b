// From the libraries' status codes to errors that say what to do.
#include "tensor/cuda/handles.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <string>
#include <string_view>

#include "tensor/error.h"

namespace ft::cuda {
namespace {

std::string place(std::string_view file, int line) {
  return fmt::format("{}:{}", file.substr(file.rfind('/') + 1), line);
}

// The device itself failed: another node may do better.
bool is_hardware_fault(cudaError_t status) {
  return status == cudaErrorECCUncorrectable || status == cudaErrorNvlinkUncorrectable ||
         status == cudaErrorSystemNotReady;
}

// A kernel went wrong; the process can use the device no more (every later call repeats the error).
bool is_kernel_fault(cudaError_t status) {
  constexpr cudaError_t kFaults[] = {cudaErrorIllegalAddress,
                                     cudaErrorMisalignedAddress,
                                     cudaErrorInvalidAddressSpace,
                                     cudaErrorIllegalInstruction,
                                     cudaErrorInvalidPc,
                                     cudaErrorHardwareStackError,
                                     cudaErrorAssert,
                                     cudaErrorLaunchTimeout,
                                     cudaErrorLaunchFailure};
  return std::ranges::find(kFaults, status) != std::end(kFaults);
}

void log(const char* name) noexcept {
  std::fprintf(stderr, "ftrun: note: clean-up of the CUDA device failed: %s\n", name);
}

}  // namespace

void check(cudaError_t status, const char* call, const char* file, int line) {
  if (status == cudaSuccess) return;
  cudaGetLastError();
  const std::string seen =
      fmt::format("{} failed: {} ({})", call, cudaGetErrorName(status), cudaGetErrorString(status));
  if (status == cudaErrorMemoryAllocation)
    throw Error(4002, "device memory", seen,
                "use a smaller --batch or --micro-batch, or free the GPU");
  if (is_hardware_fault(status))
    throw Error(3033, place(file, line), "hardware fault: " + seen,
                "use another GPU or another machine");
  if (is_kernel_fault(status))
    throw Error(3034, place(file, line), "a kernel failed: " + seen,
                "run the same command again, and report it if it returns");
  throw Error(3030, place(file, line), seen, "check the GPU with nvidia-smi, or use --device cpu");
}

void check(cudnnStatus_t status, const char* call, const char* file, int line) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  char detail[1024] = "";
  cudnnGetLastErrorString(detail, sizeof detail);
  throw Error(3031, place(file, line),
              fmt::format("{} failed: {} [{}]", call, cudnnGetErrorString(status), detail),
              "run again with CUDNN_LOGLEVEL_DBG=2 CUDNN_LOGDEST_DBG=stderr for cuDNN's reason, or "
              "use --device cpu");
}

void check(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(3032, place(file, line),
              fmt::format("{} failed: {}", call, cublasLtGetStatusName(status)),
              "run again with CUBLASLT_LOG_LEVEL=2 for cuBLAS's reason, or use --device cpu");
}

void log_failure(cudaError_t status) noexcept {
  if (status != cudaSuccess) log(cudaGetErrorName(status));
}
void log_failure(cudnnStatus_t status) noexcept {
  if (status != CUDNN_STATUS_SUCCESS) log(cudnnGetErrorString(status));
}
void log_failure(cublasStatus_t status) noexcept {
  if (status != CUBLAS_STATUS_SUCCESS) log(cublasLtGetStatusName(status));
}

}  // namespace ft::cuda
