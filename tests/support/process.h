// Running a program as a user would: status, standard output and standard error.
#pragma once

#include <string>
#include <vector>

namespace ft::test {

struct ProcessResult {
  int status = -1;  // exit status, or 128 + signal
  std::string out, err;
};

// Runs `program` with `args`, without a shell and without standard input. `env` adds NAME=VALUE.
ProcessResult run_process(const std::string& program, const std::vector<std::string>& args,
                          const std::vector<std::string>& env = {});

}  // namespace ft::test
