// The signal handler.
#include "apps/ftrun/stop_request.h"

#include <signal.h>

namespace ft::app {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
volatile sig_atomic_t noted = 0;

void note(int number) {
  if (noted != 0) {
    signal(number, SIG_DFL);  // delivered when this handler returns
    raise(number);
    return;
  }
  noted = number;
}

void set_handlers(void (*handler)(int), void (*instead_of)(int)) {
  for (const int number : kSignals) {
    struct sigaction action{};
    if (sigaction(number, nullptr, &action) != 0 || action.sa_handler != instead_of) continue;
    action = {};
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(number, &action, nullptr);
  }
}

}  // namespace

StopRequest::StopRequest() {
  noted = 0;
  set_handlers(note, SIG_DFL);
}

StopRequest::~StopRequest() { set_handlers(SIG_DFL, note); }

int stop_signal() { return noted; }

const char* signal_name(int number) {
  return number == SIGINT    ? "SIGINT"
         : number == SIGTERM ? "SIGTERM"
         : number == SIGHUP  ? "SIGHUP"
                             : "SIGUSR1";
}

}  // namespace ft::app
