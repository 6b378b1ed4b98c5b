// Signals, read by a thread.
#include "apps/ftrun/stop_request.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <system_error>

namespace ft::app {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
// Signals concern the process, and there is one of it.
std::atomic<int> noted{0};
std::atomic<bool> notes_the_first{false};

// What the signal does where nobody takes it.
[[noreturn]] void end_by(int number) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  raise(number);
  _exit(128 + number);
}

}  // namespace

StopRequest::StopRequest() {
  noted = 0;
  notes_the_first = false;
  sigemptyset(&signals_);
  for (const int number : kSignals) {
    struct sigaction now{};
    if (sigaction(number, nullptr, &now) == 0 && now.sa_handler == SIG_DFL)
      sigaddset(&signals_, number);
  }
  pthread_sigmask(SIG_BLOCK, &signals_, &before_);
  source_ = UniqueFd(signalfd(-1, &signals_, SFD_CLOEXEC));
  end_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  try {
    if (source_ && end_) watcher_ = std::jthread([this] { watch(); });
  } catch (const std::system_error&) {  // the limit of threads
  }
  if (watcher_.joinable()) return;
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  std::fprintf(stderr, "ftrun: note: no thread for signals; one of them ends this run at once\n");
}

StopRequest::~StopRequest() {
  const uint64_t one = 1;
  if (watcher_.joinable() && write(end_.get(), &one, sizeof one) == sizeof one) watcher_.join();
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void StopRequest::note_the_first() { notes_the_first = true; }

void StopRequest::watch() {
  for (;;) {
    pollfd sources[] = {{source_.get(), POLLIN, 0}, {end_.get(), POLLIN, 0}};
    if (retry_interrupted([&] { return poll(sources, 2, -1); }) < 0 || sources[1].revents != 0)
      return;
    signalfd_siginfo signal{};
    if (read(source_.get(), &signal, sizeof signal) != sizeof signal) continue;
    const int number = static_cast<int>(signal.ssi_signo);
    int none = 0;
    if (!notes_the_first || !noted.compare_exchange_strong(none, number)) end_by(number);
    std::fprintf(
        stderr,
        "%sftrun: %s: ending after this step, then writing what there is; a second signal ends "
        "at once and loses it\n",
        isatty(STDERR_FILENO) == 1 ? "\r\x1b[K" : "", signal_name(number));
  }
}

int stop_signal() { return noted; }

const char* signal_name(int number) {
  return number == SIGINT    ? "SIGINT"
         : number == SIGTERM ? "SIGTERM"
         : number == SIGHUP  ? "SIGHUP"
                             : "SIGUSR1";
}

}  // namespace ft::app
