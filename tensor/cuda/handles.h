// Owning handles of the CUDA libraries, and the checks around their calls. A handle is move-only and belongs to one
// backend or plan; a failing destroy is logged, never thrown. FT_CUDA(call), FT_CUDNN(call), FT_CUBLAS(call) throw
// Error with the call's text, the error's name, file and line; CUDA's sticky error is cleared, so that the next check
// does not report it again.
#pragma once

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

#include <utility>

namespace ft::cuda {

// Error 30xx, or 4002 where memory ran out. Returns on success.
void check(cudaError_t status, const char* call, const char* file, int line);
void check(cudnnStatus_t status, const char* call, const char* file, int line);
void check(cublasStatus_t status, const char* call, const char* file, int line);

// One line on stderr if a clean-up call failed.
void log_failure(cudaError_t status) noexcept;
void log_failure(cudnnStatus_t status) noexcept;
void log_failure(cublasStatus_t status) noexcept;

// Owns one T, released by `destroy` (a function that returns a status).
template <class T, auto destroy>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(T value) : value_(value) {}
  UniqueHandle(UniqueHandle&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~UniqueHandle() { reset(); }

  T get() const { return value_; }
  // For calls that create into a pointer; gives up what was owned before.
  T* receive() {
    reset();
    return &value_;
  }

 private:
  void reset() noexcept {
    if (value_ != T{}) log_failure(destroy(std::exchange(value_, T{})));
  }
  T value_{};
};

using StreamHandle = UniqueHandle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = UniqueHandle<cudaEvent_t, cudaEventDestroy>;
using GraphHandle = UniqueHandle<cudaGraph_t, cudaGraphDestroy>;
using GraphExecHandle = UniqueHandle<cudaGraphExec_t, cudaGraphExecDestroy>;
using CudnnHandle = UniqueHandle<cudnnHandle_t, cudnnDestroy>;
using CublasLtHandle = UniqueHandle<cublasLtHandle_t, cublasLtDestroy>;

}  // namespace ft::cuda

#define FT_CUDA(call) ::ft::cuda::check((call), #call, __FILE__, __LINE__)
#define FT_CUDNN(call) ::ft::cuda::check((call), #call, __FILE__, __LINE__)
#define FT_CUBLAS(call) ::ft::cuda::check((call), #call, __FILE__, __LINE__)
