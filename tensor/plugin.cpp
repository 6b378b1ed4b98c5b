// Where plugins are searched.
#include "tensor/plugin.h"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string_view>

namespace ft {

namespace fs = std::filesystem;

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
  if (dladdr(reinterpret_cast<const void*>(&plugin_folders), &self) != 0 &&
      self.dli_fname != nullptr)
    library = fs::path(self.dli_fname).parent_path();
  for (const fs::path& origin : {program, library}) {
    add(origin);
    add(origin / "../lib/ft");
  }
  add(library / "ft");
  return folders;
}

std::string find_plugin(const std::string& file) {
  for (const std::string& folder : plugin_folders()) {
    std::error_code fault;
    if (fs::exists(fs::path(folder) / file, fault)) return fs::path(folder) / file;
  }
  return {};
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

}  // namespace ft
