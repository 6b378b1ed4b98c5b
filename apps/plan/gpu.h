// A GPU that is described, not there: the device properties that cuDNN wants, and what it does at best. Descriptions are
// JSON (apps/plan/gpus); those of the tree are compiled into the program. Values; free to copy.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace ft::plan {

struct GpuPeaks {
  double f32 = 0, tf32 = 0, bf16 = 0;  // FLOP/s of products
  double memory = 0;                   // bytes/s
  std::string source;                  // where these come from
};

struct Gpu {
  std::string name;      // "NVIDIA H100 80GB HBM3"
  std::string json;      // the description, for cuDNN
  int architecture = 0;  // 90
  size_t memory_bytes = 0;
  std::optional<GpuPeaks> peaks;  // none: the description has none
};

// "a100", "b200", ...: the descriptions that every ftrun has.
std::vector<std::string> gpu_names();

// A description by its name, or from a file (what ends in .json or has a '/'). Throws Error 2029 for a name that no one
// knows, 2041-2047 for a file that cannot be read, 2050 and 2051 for one that is no description.
Gpu find_gpu(const std::string& name_or_file);

// `text` as a description; `where` names it in errors.
Gpu parse_gpu(const std::string& text, const std::string& where);

}  // namespace ft::plan
