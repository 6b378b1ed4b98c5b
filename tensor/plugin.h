// Finding the libraries that are opened at run time: backends (backend.cpp) and whatever else knows a vendor. Stateless.
#pragma once

#include <string>
#include <vector>

namespace ft {

// Where plugins may lie: beside the program and this library (build tree), or installed.
std::vector<std::string> plugin_folders();
// The full path of `file` in the first of them that has it; empty: none has.
std::string find_plugin(const std::string& file);
// Opens the CUDA libraries that lie in the folders of FT_CUDA_LIB_DIRS, so that plugins find them by name.
void preload_cuda_libraries();

}  // namespace ft
