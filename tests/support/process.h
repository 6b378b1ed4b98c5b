// Running a program as a user would: status, standard output and standard error.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "tests/support/support.h"

namespace ft::test {

struct ProcessResult {
  int status = -1;  // exit status, or 128 + signal
  std::string out, err;
};

// Runs `program` with `args`, without a shell and without standard input. `env` adds NAME=VALUE.
ProcessResult run_process(const std::string& program, const std::vector<std::string>& args,
                          const std::vector<std::string>& env = {});

// The same, to talk to while it runs. Not waiting for it kills it.
class RunningProcess {
 public:
  RunningProcess(const std::string& program, const std::vector<std::string>& args,
                 const std::vector<std::string>& env = {});
  ~RunningProcess();
  RunningProcess(const RunningProcess&) = delete;
  RunningProcess& operator=(const RunningProcess&) = delete;

  // Waits until standard output holds `text`; false if the process ends or a minute passes before.
  bool says(const std::string& text) const;
  void signal(int number) const;
  pid_t pid() const { return child_; }
  ProcessResult wait();

 private:
  TempDir dir_;
  pid_t child_ = -1;
};

}  // namespace ft::test
