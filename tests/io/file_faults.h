// Fault injection for tests: this program's own definitions of open, write, fsync, close, renameat
// and friends take the place of libc's for the library under test as well. They pass through until
// a FileFaults lives; then they count the calls of its thread and misbehave as told.
#pragma once

#include <string>
#include <vector>

namespace ft::test {

struct FaultPlan {
  enum class Mode {
    none,         // only count
    error,        // the n-th call fails with `error`
    error_from,   // the n-th and all later calls fail
    short_count,  // the n-th call, a read or write, does only one byte
    kill,         // SIGKILL before the n-th call
    kill_half,    // SIGKILL in the middle of the n-th call: half of a write is done
  };
  Mode mode = Mode::none;
  int at = -1;            // counted from 0 over the calls of `only`, or over all
  int error = 0;          // errno
  std::string only = "";  // "" or one of the wrapped calls, for example "write"
};

// Active from construction to destruction; one at a time.
class FileFaults {
 public:
  explicit FileFaults(FaultPlan plan);
  ~FileFaults();
  FileFaults(const FileFaults&) = delete;
  FileFaults& operator=(const FileFaults&) = delete;

  // Names of the wrapped calls so far, in order.
  const std::vector<std::string>& calls() const;
  // Paths that were opened, also by other libraries.
  const std::vector<std::string>& opened() const;
};

}  // namespace ft::test
