// Running a program and catching what it writes.
#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace ft::test {

ProcessResult run_process(const std::string& program, const std::vector<std::string>& args,
                          const std::vector<std::string>& env) {
  return RunningProcess(program, args, env).wait();
}

RunningProcess::RunningProcess(const std::string& program, const std::vector<std::string>& args,
                               const std::vector<std::string>& env) {
  const std::string out = dir_ / "out", err = dir_ / "err";
  child_ = fork();
  if (child_ != 0) return;
  const auto redirect = [](const char* path, int flags, int to) {
    dup2(open(path, flags, 0600), to);
  };
  redirect("/dev/null", O_RDONLY, 0);
  redirect(out.c_str(), O_WRONLY | O_CREAT, 1);
  redirect(err.c_str(), O_WRONLY | O_CREAT, 2);
  for (const std::string& e : env) putenv(const_cast<char*>(e.c_str()));
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& a : args) argv.push_back(const_cast<char*>(a.c_str()));
  argv.push_back(nullptr);
  execv(program.c_str(), argv.data());
  _exit(127);
}

RunningProcess::~RunningProcess() {
  if (child_ == -1) return;
  kill(child_, SIGKILL);
  waitpid(child_, nullptr, 0);
}

bool RunningProcess::says(const std::string& text) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  while (std::chrono::steady_clock::now() < end) {
    if (std::filesystem::exists(dir_ / "out") &&
        read_file(dir_ / "out").find(text) != std::string::npos)
      return true;
    siginfo_t ended{};
    if (waitid(P_PID, static_cast<id_t>(child_), &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
        ended.si_pid == child_)
      return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

void RunningProcess::signal(int number) const { kill(child_, number); }

ProcessResult RunningProcess::wait() {
  int status = 0;
  waitpid(child_, &status, 0);
  child_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), read_file(dir_ / "out"),
          read_file(dir_ / "err")};
}

}  // namespace ft::test
