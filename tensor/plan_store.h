// Execution plans of a vendor's library that outlive a process: a backend looks here before it chooses and compiles one,
// and leaves here what it chose. Files of them belong to the apps (apps/plan/plan_file.h). Used by one thread.
#pragma once

#include <string>

namespace ft {

struct SavedPlan {
  std::string engine;  // what describe() says of it: "cudnn:47 tensor-core"
  size_t workspace_bytes = 0;
  bool deterministic = true;
  std::string text;  // in the library's own form
};

class PlanStore {
 public:
  virtual ~PlanStore() = default;
  // Called by a backend as it opens: "cuDNN 9.19.0", "NVIDIA H100 80GB HBM3 (sm_90)". Throws Error 3025 if the plans are
  // for others.
  virtual void match(const std::string& library, const std::string& device) = 0;
  // nullptr: none of this name. It stays until the next keep().
  virtual const SavedPlan* find(const std::string& name) = 0;
  virtual void keep(const std::string& name, const SavedPlan& plan) = 0;
};

}  // namespace ft
