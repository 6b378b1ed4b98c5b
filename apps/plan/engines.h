// Which cuDNN engine runs a convolution on a GPU that is only described, and what it needs: the question and the answer.
// Who answers is a plugin with cuDNN (cudnn_engines.cpp), in a process of its own (engine_process.h).
#pragma once

#include <string>
#include <string_view>

#include "tensor/ops/conv2d.h"

namespace ft::plan {

struct Engine {
  std::string name;  // "cudnn:47 tensor-core"; empty: refused
  size_t workspace = 0;
  bool deterministic = true;
  std::string refusal = {};  // why cuDNN has no engine for it, with the way out
  std::string key = {},
              text = {};  // where it was asked for: what PlanStore knows the plan by, and the plan

  bool refused() const { return name.empty(); }
};

class EngineFinder {
 public:
  virtual ~EngineFinder() = default;
  // The engine that the CUDA backend would take for this pass on that GPU; `with_text`: and its plan, to be saved.
  virtual Engine find(const Conv2dSpec& spec, PassKind pass, bool with_text = false) = 0;
  virtual std::string version() const = 0;  // "cuDNN 9.19.0"
};

// What the plugin exports: extern "C" EngineFinder* ft_make_engine_finder(const std::string* gpu); `gpu` is the JSON
// description. Throws Error 3031 if cuDNN does not accept it.
using MakeEngineFinder = EngineFinder*(const std::string* gpu);

// And extern "C" std::string* ft_describe_device(int index): the description of a GPU that is here, as cuDNN reads it
// from the device; the caller's. Throws Error 3031.
using DescribeDevice = std::string*(int index);

}  // namespace ft::plan
