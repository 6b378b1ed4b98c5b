// A child process that asks cuDNN about a GPU that is not there. Only the child opens cuDNN and a CUDA driver: the
// machine's own where it has one, else the null driver, by full path, without which cuDNN offers only a part of its
// engines. The null driver hides GPUs, so it is never opened where one is. Used by one thread; the child ends with it.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <stdexcept>
#include <vector>

#include "apps/plan/engines.h"

namespace ft::plan {

// The engines cannot be asked: what() says why, in words that complete "engines are unknown: ...".
class EnginesUnknown : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The description of the GPU of that number in this machine, as cuDNN reads it from the device. Throws EnginesUnknown.
std::string describe_device(int index);

class EngineProcess final : public EngineFinder {
 public:
  // `gpu`: the JSON description. Throws EnginesUnknown: no plugin, no cuDNN, or a description that it refuses.
  explicit EngineProcess(const std::string& gpu);
  ~EngineProcess() override;
  EngineProcess(const EngineProcess&) = delete;
  EngineProcess& operator=(const EngineProcess&) = delete;

  // Asks once for equal questions without text. Throws EnginesUnknown if the child has ended.
  Engine find(const Conv2dSpec& spec, PassKind pass, bool with_text = false) override;
  std::string version() const override { return version_; }
  // How many different questions were asked.
  size_t asked() const { return answers_.size(); }

 private:
  friend std::string describe_device(int index);
  explicit EngineProcess(int device);  // answers nothing, and version() is its description
  void start(const std::function<void(int)>& child);
  Engine ask(const Conv2dSpec& spec, PassKind pass, bool with_text);

  int socket_ = -1;
  pid_t child_ = -1;
  std::string version_;
  std::map<std::vector<int64_t>, Engine> answers_;
};

}  // namespace ft::plan
