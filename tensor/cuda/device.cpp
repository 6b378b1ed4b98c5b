// Finding the device, and saying exactly why there is none.
#include <fmt/format.h>

#include <cstdlib>

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/cudnn_plan.h"
#include "tensor/cuda/kernels.h"

namespace ft::cuda {
namespace {

std::string cuda_version(int v) { return fmt::format("{}.{}", v / 1000, v % 1000 / 10); }

int driver_version() {
  int version = 0;
  FT_CUDA(cudaDriverGetVersion(&version));
  return version;
}

// On an error the runtime leaves the count as it was, so only the status counts.
int device_count(const std::string& where) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) cudaGetLastError();
  const int driver = driver_version();
  if (status == cudaErrorInsufficientDriver && driver == 0)
    throw Error(3001, where, "no NVIDIA driver", "use --device cpu, or install the NVIDIA driver");
  if (status == cudaErrorInsufficientDriver)
    throw Error(3005, where,
                fmt::format("the NVIDIA driver is for CUDA {}, this program needs CUDA {}",
                            cuda_version(driver), cuda_version(CUDART_VERSION)),
                "update the driver, or use --device cpu");
  if (status == cudaErrorNoDevice) return 0;
  check(status, "cudaGetDeviceCount", __FILE__, __LINE__);
  return count;
}

void check_index(int index, const std::string& where) {
  const int count = device_count(where);
  if (index < count) return;
  std::string seen = "no GPU is visible";
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p;
    FT_CUDA(cudaGetDeviceProperties(&p, i));
    seen = fmt::format("{}cuda:{} {}", i == 0 ? "there are only " : seen + ", ", i, p.name);
  }
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible != nullptr) seen += fmt::format(" (CUDA_VISIBLE_DEVICES={})", visible);
  throw Error(3006, where, seen, "choose one of them, or use --device cpu");
}

void check_libraries() {
  const size_t cudnn = cudnnGetVersion(), cublas = cublasLtGetVersion();
  if (cudnn / 10000 != CUDNN_MAJOR || cudnn < 90800)
    throw Error(3008, "libcudnn.so",
                fmt::format("version {}.{}.{} is installed, this program needs 9.8 or a later 9",
                            cudnn / 10000, cudnn / 100 % 100, cudnn % 100),
                "install cuDNN 9, or use --device cpu");
  if (cublas / 10000 != CUBLAS_VER_MAJOR)
    throw Error(3008, "libcublasLt.so",
                fmt::format("major version {} is installed, this program needs {}", cublas / 10000,
                            CUBLAS_VER_MAJOR),
                fmt::format("install cuBLAS {}, or use --device cpu", CUBLAS_VER_MAJOR));
}

}  // namespace

DeviceInfo check_device(int index) {
  const std::string where = "--device " + Device{Device::Kind::cuda, index}.str();
  check_index(index, where);
  check_libraries();
  cudaDeviceProp p;
  FT_CUDA(cudaGetDeviceProperties(&p, index));
  FT_CUDA(cudaSetDevice(index));
  if (!kernels_run_here())
    throw Error(
        3007, where,
        fmt::format("{} is of architecture {}{}, this program was built for {}", p.name, p.major,
                    p.minor, FT_CUDA_ARCHS),
        fmt::format("build with -DFT_CUDA_ARCHS={}{}, or use --device cpu", p.major, p.minor));
  return {p.name, p.major, p.minor, p.totalGlobalMem, driver_version()};
}

std::string describe(int index, const DeviceInfo& info) {
  return fmt::format("cuda:{} ({}, sm_{}{}, {} GiB, CUDA {}, driver for CUDA {}, {})", index,
                     info.name, info.major, info.minor, info.memory_bytes >> 30,
                     cuda_version(CUDART_VERSION), cuda_version(info.driver_version), cudnn_name());
}

}  // namespace ft::cuda
