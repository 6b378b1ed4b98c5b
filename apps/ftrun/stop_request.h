// A signal that asks the run to end: it is noted, one line on stderr says so at once, and the run looks at it between two
// steps. A second signal of any kind ends the process at once, as if nobody had caught it.
//
// There is no signal handler. The kernels that oneDNN generates for matrix products use the stack register as a pointer
// into ordinary memory (uxlfoundation/oneDNN issue 4845), and a handler that runs in such a thread writes its frame over
// whatever lies there. The signals are blocked in every thread instead, and one thread of this object reads them.
#pragma once

#include <signal.h>

#include <thread>

#include "io/unique_fd.h"

namespace ft::app {

// Thrown between two steps once a signal has come; never leaves FinetuneRun.
struct Stopped {};

// SIGINT, SIGTERM, SIGHUP and SIGUSR1 are taken from construction to destruction; those that the parent process ignores
// (nohup) stay ignored. To be made before any other thread: threads inherit what is blocked. One at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;

  // From now on a first signal is noted; until then it ends the process at once.
  void note_the_first();

 private:
  void watch();

  sigset_t signals_{}, before_{};
  UniqueFd source_, end_;  // where signals are read; readable when this object ends
  std::jthread watcher_;
};

// The signal that asked for the end; 0: none so far.
int stop_signal();
// "SIGTERM".
const char* signal_name(int number);

}  // namespace ft::app
