// The plugin libft_gpu_tools.so: NVTX, cudaProfilerStart and cudaProfilerStop, CUPTI. NVTX's headers find a tool that is
// attached by themselves; without one a range costs a test of a pointer.
#include <cuda_profiler_api.h>
#include <cuda_runtime_api.h>
#include <nvtx3/nvToolsExt.h>

#include "apps/gpu_tools/cupti.h"
#include "apps/gpu_tools/gpu_tools.h"
#include "tensor/error.h"

namespace ft::tools {
namespace {

class NvidiaTools final : public GpuTools {
 public:
  void push(const std::string& name, uint64_t tag) override {
    nvtxRangePushA(name.c_str());
    cupti_.push(tag);
  }
  void pop() override {
    cupti_.pop();
    nvtxRangePop();
  }
  void capture(bool on) override {
    const cudaError_t error = on ? cudaProfilerStart() : cudaProfilerStop();
    if (error != cudaSuccess)
      throw Error(3030, on ? "cudaProfilerStart" : "cudaProfilerStop", cudaGetErrorName(error),
                  "leave --capture-range out, or check the GPU with nvidia-smi");
  }
  std::string record() override { return cupti_.start(); }
  std::vector<KernelRun> recorded() override { return cupti_.stop(); }

 private:
  CuptiRecorder cupti_;
};

}  // namespace
}  // namespace ft::tools

extern "C" __attribute__((visibility("default"))) ft::tools::GpuTools* ft_make_gpu_tools() {
  return new ft::tools::NvidiaTools;
}
