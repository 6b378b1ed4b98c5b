// A file of cuDNN execution plans, for one version of cuDNN and one kind of GPU: JSON, a plan by the name of what it
// computes. `ftrun plan` writes one for a GPU that is not there, `ftrun bench` and `profile` for the one that is.
// Used by one thread.
#pragma once

#include <map>
#include <string>

#include "tensor/plan_store.h"

namespace ft::plan {

class PlanFile final : public PlanStore {
 public:
  // Without plans.
  PlanFile() = default;
  // Those of a file. Throws Error 2061-2067 if it cannot be read, 2053 if it is no file of plans.
  explicit PlanFile(const std::string& path);

  void match(const std::string& library, const std::string& device) override;
  const SavedPlan* find(const std::string& name) override;
  void keep(const std::string& name, const SavedPlan& plan) override;

  size_t size() const { return plans_.size(); }
  // "plans.json: 53 taken, 2 chosen here": what became of questions; empty where there is no file.
  std::string account() const;
  // All plans, those of the file included. Throws Error 2003 if no CUDA backend has opened with this, 5xxx.
  void write(const std::string& path) const;

 private:
  std::string path_, library_, device_;  // of a file; empty until something is matched
  std::map<std::string, SavedPlan> plans_;
  size_t asked_ = 0, chosen_ = 0;
};

// "NVIDIA H100 80GB HBM3 (sm_90)": the kind of a GPU, as the CUDA backend says it.
std::string device_kind(const std::string& name, int architecture);

}  // namespace ft::plan
