// A signal that asks the run to end: it is noted, and the run looks at it between two steps. A second signal of any
// kind ends the process at once, as if nobody had caught it. The one global of the program: a handler gets no
// arguments.
#pragma once

namespace ft::app {

// Thrown between two steps once a signal has come; never leaves FinetuneRun.
struct Stopped {};

// SIGINT, SIGTERM, SIGHUP and SIGUSR1 are caught from construction to destruction; those that the parent process
// ignores (nohup) stay ignored. One at a time.
class StopRequest {
 public:
  StopRequest();
  ~StopRequest();
  StopRequest(const StopRequest&) = delete;
  StopRequest& operator=(const StopRequest&) = delete;
};

// The signal that asked for the end; 0: none so far.
int stop_signal();
// "SIGTERM".
const char* signal_name(int number);

}  // namespace ft::app
