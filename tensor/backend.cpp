// Opening backends: ref lives in this library, vendor backends are plugins (plugin.h).
// A plugin stays open until the process ends: vendor libraries do not survive being unloaded.
#include "tensor/backend.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/plugin.h"
#include "tensor/ref/ref.h"

namespace ft {
namespace {

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown reason" : text;
}

std::unique_ptr<Backend> open_plugin(const std::string& file, const Device& device,
                                     const BackendOptions& options, const std::string& remedy) {
  const std::string path = find_plugin(file);
  if (path.empty())
    throw Error(3002, "--device " + device.str(),
                fmt::format("{} is not in {}", file, fmt::join(plugin_folders(), ", ")), remedy);
  void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (plugin == nullptr) throw Error(3003, path, last_dl_error(), remedy);
  void* make = dlsym(plugin, "ft_make_backend");
  if (make == nullptr) throw Error(3004, path, "it is not a backend of this program", remedy);
  return std::unique_ptr<Backend>(
      reinterpret_cast<MakeBackendFunction*>(make)(device.index, &options));
}

std::unique_ptr<Backend> open_cuda(const Device& device, const BackendOptions& options) {
  const std::string remedy = "use --device cpu, or install the NVIDIA driver";
  if (dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL) == nullptr)
    throw Error(3001, "--device " + device.str(), "no NVIDIA driver (libcuda.so.1 is missing)",
                remedy);
  preload_cuda_libraries();
  return open_plugin(
      "libft_cuda.so", device, options,
      "use --device cpu, or build with the preset cuda and install cuDNN and cuBLAS");
}

}  // namespace

std::vector<std::unique_ptr<Conv2dPlan>> Backend::make_conv2d_engines(const Conv2dSpec& spec,
                                                                      PassKind) {
  std::vector<std::unique_ptr<Conv2dPlan>> plans;
  plans.push_back(make_conv2d(spec));
  return plans;
}

std::unique_ptr<Backend> make_backend(const Device& device, const BackendOptions& options) {
  switch (device.kind) {
    case Device::Kind::ref:
      return std::make_unique<RefBackend>();
    case Device::Kind::cpu:
      return open_plugin("libft_cpu.so", device, options,
                         "build the target ft_cpu, install oneDNN, or use --device ref (slow)");
    case Device::Kind::cuda:
      return open_cuda(device, options);
  }
  FT_CHECK(false, "unknown device kind");
}

ChosenBackend choose_backend(const std::string& text, const BackendOptions& options) {
  if (text != "auto") {
    const Device device = parse_device(text);
    return {make_backend(device, options), device.str() + " is used because --device asks for it"};
  }
  std::string reason;
  try {
    return {make_backend({Device::Kind::cuda, 0}, options),
            "cuda:0 is used because a GPU is there"};
  } catch (const Error& e) {
    reason = e.seen();
  }
  return {make_backend({Device::Kind::cpu, 0}, options),
          "cpu is used because cuda is not available: " + reason};
}

}  // namespace ft
