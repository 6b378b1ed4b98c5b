// CUPTI, opened at run time: which kernels ran in which range. CUPTI's callbacks carry no pointer of the caller's, so
// there is one recorder a process. start() and stop() are called by one thread; CUPTI may hand over records on another.
#pragma once

#include <string>
#include <vector>

#include "apps/gpu_tools/gpu_tools.h"

namespace ft::tools {

class CuptiRecorder {
 public:
  // Empty, or why nothing is recorded.
  std::string start();
  std::vector<KernelRun> stop();
  // A range within which kernels are launched; nothing happens while nothing is recorded.
  void push(uint64_t tag);
  void pop();

 private:
  bool recording_ = false;
};

}  // namespace ft::tools
