// The wrapped system calls.
#include "tests/io/file_faults.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace ft::test {
namespace {

struct State {
  FaultPlan plan;
  int seen = 0;
  std::vector<std::string> calls, opened;
};
thread_local State* active = nullptr;

enum class Act { pass, fail, one_byte, half };

// Counts the call and says what to do with it. Does nothing while no FileFaults lives.
Act decide(const char* name) {
  if (active == nullptr) return Act::pass;
  State* const state = active;
  active = nullptr;  // the bookkeeping may call malloc, never one of our calls; be safe anyway
  state->calls.push_back(name);
  const FaultPlan& plan = state->plan;
  Act act = Act::pass;
  if (plan.only.empty() || plan.only == name) {
    const int n = state->seen++;
    const bool hit =
        n == plan.at || (plan.mode == FaultPlan::Mode::error_from && n > plan.at && plan.at >= 0);
    if (hit && plan.mode == FaultPlan::Mode::kill) ::raise(SIGKILL);
    if (hit && (plan.mode == FaultPlan::Mode::error || plan.mode == FaultPlan::Mode::error_from))
      act = Act::fail;
    if (hit && plan.mode == FaultPlan::Mode::short_count) act = Act::one_byte;
    if (hit && plan.mode == FaultPlan::Mode::kill_half) act = Act::half;
  }
  active = state;
  if (act == Act::fail) errno = state->plan.error;
  return act;
}

void note_open(const char* path) {
  if (active != nullptr) active->opened.push_back(path);
}

template <class Function>
Function real(const char* name) {
  const auto found = reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
  if (found == nullptr) std::fprintf(stderr, "no %s to wrap\n", name), std::abort();
  return found;
}

size_t count_for(Act act, size_t n) {
  if (act == Act::one_byte && n > 1) return 1;
  return act == Act::half ? n / 2 : n;
}

void finish(Act act) {
  if (act == Act::half) ::raise(SIGKILL);
}

}  // namespace

FileFaults::FileFaults(FaultPlan plan) { active = new State{std::move(plan), 0, {}, {}}; }
FileFaults::~FileFaults() {
  delete active;
  active = nullptr;
}
const std::vector<std::string>& FileFaults::calls() const { return active->calls; }
const std::vector<std::string>& FileFaults::opened() const { return active->opened; }

extern "C" {

// As in Linux, a close() that reports an error has closed the descriptor all the same.
int close(int fd) {
  static const auto call = real<int (*)(int)>("close");
  const Act act = decide("close");
  const int error = errno;
  const int result = call(fd);
  finish(act);
  if (act != Act::fail) return result;
  errno = error;
  return -1;
}

ssize_t write(int fd, const void* data, size_t n) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t)>("write");
  const Act act = decide("write");
  if (act == Act::fail) return -1;
  const ssize_t result = call(fd, data, count_for(act, n));
  finish(act);
  return result;
}

ssize_t read(int fd, void* data, size_t n) {
  static const auto call = real<ssize_t (*)(int, void*, size_t)>("read");
  const Act act = decide("read");
  return act == Act::fail ? -1 : call(fd, data, count_for(act, n));
}

ssize_t pread(int fd, void* data, size_t n, off_t at) {
  static const auto call = real<ssize_t (*)(int, void*, size_t, off_t)>("pread");
  const Act act = decide("pread");
  return act == Act::fail ? -1 : call(fd, data, count_for(act, n), at);
}

ssize_t pwrite(int fd, const void* data, size_t n, off_t at) {
  static const auto call = real<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  const Act act = decide("pwrite");
  return act == Act::fail ? -1 : call(fd, data, count_for(act, n), at);
}

#define FT_WRAP(name, parameters, arguments)                 \
  int name parameters {                                      \
    static const auto call = real<int(*) parameters>(#name); \
    const Act act = decide(#name);                           \
    if (act == Act::fail) return -1;                         \
    const int result = call arguments;                       \
    finish(act);                                             \
    return result;                                           \
  }
FT_WRAP(fsync, (int fd), (fd))
FT_WRAP(dup, (int fd) noexcept, (fd))
FT_WRAP(fallocate, (int fd, int mode, off_t at, off_t size), (fd, mode, at, size))
FT_WRAP(flock, (int fd, int how) noexcept, (fd, how))
FT_WRAP(fchmod, (int fd, mode_t mode) noexcept, (fd, mode))
FT_WRAP(unlinkat, (int fd, const char* name, int flags) noexcept, (fd, name, flags))
FT_WRAP(renameat, (int a, const char* from, int b, const char* to) noexcept, (a, from, b, to))
#undef FT_WRAP

#define FT_WRAP_OPEN(name)                                                 \
  int name(const char* path, int flags, ...) {                             \
    static const auto call = real<int (*)(const char*, int, ...)>(#name);  \
    va_list rest;                                                          \
    va_start(rest, flags);                                                 \
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0; \
    va_end(rest);                                                          \
    note_open(path);                                                       \
    return decide("open") == Act::fail ? -1 : call(path, flags, mode);     \
  }
FT_WRAP_OPEN(open)
FT_WRAP_OPEN(open64)
#undef FT_WRAP_OPEN

int openat(int folder, const char* path, int flags, ...) {
  static const auto call = real<int (*)(int, const char*, int, ...)>("openat");
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  note_open(path);
  return decide("openat") == Act::fail ? -1 : call(folder, path, flags, mode);
}

}  // extern "C"

}  // namespace ft::test
