// Opening backends: ref lives in this library, vendor backends are plugins found beside it.
// A plugin stays open until the process ends: vendor libraries do not survive being unloaded.
#include "tensor/backend.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

// Where a plugin may lie: beside the program and this library (build tree), or installed.
std::vector<std::string> plugin_folders() {
  std::vector<std::string> folders;
  const auto add = [&](const fs::path& folder) {
    std::error_code fault;
    const std::string real = fs::canonical(folder, fault).string();
    if (fault) return;
    if (std::find(folders.begin(), folders.end(), real) == folders.end()) folders.push_back(real);
  };
  std::error_code fault;
  const fs::path program = fs::read_symlink("/proc/self/exe", fault).parent_path();
  Dl_info self{};
  fs::path library = program;
  if (dladdr(reinterpret_cast<const void*>(&make_backend), &self) != 0 && self.dli_fname != nullptr)
    library = fs::path(self.dli_fname).parent_path();
  for (const fs::path& origin : {program, library}) {
    add(origin);
    add(origin / "../lib/ft");
  }
  add(library / "ft");
  return folders;
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown reason" : text;
}

std::unique_ptr<Backend> open_plugin(const std::string& file, const Device& device,
                                     const BackendOptions& options, const std::string& remedy) {
  const std::vector<std::string> folders = plugin_folders();
  for (const std::string& folder : folders) {
    const std::string path = fs::path(folder) / file;
    std::error_code fault;
    if (!fs::exists(path, fault)) continue;
    void* plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (plugin == nullptr) throw Error(3003, path, last_dl_error(), remedy);
    void* make = dlsym(plugin, "ft_make_backend");
    if (make == nullptr) throw Error(3004, path, "it is not a backend of this program", remedy);
    Backend* backend = reinterpret_cast<MakeBackendFunction*>(make)(device.index, &options);
    return std::unique_ptr<Backend>(backend);
  }
  throw Error(3002, "--device " + device.str(),
              fmt::format("{} is not in {}", file, fmt::join(folders, ", ")), remedy);
}

// CUDA libraries in unusual folders (FT_CUDA_LIB_DIRS, separated by ':'): opened by full path
// first, so that the plugin's own references find them by name. Versioned names are all that wheels
// carry.
void preload_cuda_libraries() {
  const char* text = std::getenv("FT_CUDA_LIB_DIRS");
  if (text == nullptr) return;
  std::string_view rest = text;
  std::vector<fs::path> folders;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(':'), rest.size());
    if (end > 0) folders.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // In this order, since each of them needs those before it.
  for (const std::string_view stem :
       {"libcudart.so", "libcublasLt.so", "libcublas.so", "libcudnn.so"})
    for (const fs::path& folder : folders) {
      std::error_code fault;
      for (const auto& entry : fs::directory_iterator(folder, fault))
        if (entry.path().filename().string().starts_with(stem))
          dlopen(entry.path().c_str(), RTLD_LAZY | RTLD_GLOBAL);
    }
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
