// What the profilers of NVIDIA are told by `ftrun profile`, and what CUPTI tells it: ranges, a bracket around steps, and
// the kernels behind each range. It is a plugin (nvidia_tools.cpp), since only a program that profiles needs it. Used by
// one thread, the one that queues work.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace ft::tools {

// One kernel that ran.
struct KernelRun {
  std::string name;
  uint64_t tag = 0;    // of the range that it was launched in; 0: of none
  double seconds = 0;  // on the device
};

class GpuTools {
 public:
  virtual ~GpuTools() = default;
  // Opens an NVTX range of this name within the open one. `tag`, above 0, comes back with its kernels.
  virtual void push(const std::string& name, uint64_t tag) = 0;
  virtual void pop() = 0;
  // cudaProfilerStart and cudaProfilerStop: what nsys --capture-range=cudaProfilerApi and ncu --profile-from-start off
  // wait for. Throws Error 3030.
  virtual void capture(bool on) = 0;
  // Kernels that are launched from here on are recorded by CUPTI. Empty, or why they are not: "libcupti.so.13: ...".
  virtual std::string record() = 0;
  // Ends it, and gives the kernels in the order in which they ran; the device has to be idle.
  virtual std::vector<KernelRun> recorded() = 0;
};

// nullptr where the plugin is not there; `why` then says so in words that complete "no ranges: ...".
std::unique_ptr<GpuTools> open_gpu_tools(std::string& why);

// What the plugin exports: extern "C" GpuTools* ft_make_gpu_tools().
using MakeGpuTools = GpuTools*();

}  // namespace ft::tools
