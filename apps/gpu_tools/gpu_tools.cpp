// Opening the plugin. It stays open until the process ends.
#include "apps/gpu_tools/gpu_tools.h"

#include <dlfcn.h>

#include "tensor/plugin.h"

namespace ft::tools {

std::unique_ptr<GpuTools> open_gpu_tools(std::string& why) {
  const std::string path = find_plugin("libft_gpu_tools.so");
  if (path.empty()) {
    why = "libft_gpu_tools.so is not there";
    return nullptr;
  }
  void* const plugin = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* const make = plugin == nullptr ? nullptr : dlsym(plugin, "ft_make_gpu_tools");
  if (make == nullptr) {
    const char* const text = dlerror();
    why = text == nullptr ? path + " is no plugin of this program" : text;
    return nullptr;
  }
  return std::unique_ptr<GpuTools>(reinterpret_cast<MakeGpuTools*>(make)());
}

}  // namespace ft::tools
