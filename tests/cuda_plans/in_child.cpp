#include "tests/cuda_plans/in_child.h"

#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

namespace ft::test {
namespace {

[[noreturn]] void run_child(int out, const std::function<std::string()>& check) {
  std::string text;
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) == nullptr &&
      dlopen(FT_NULL_DRIVER, RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    text = std::string("no driver: ") + dlerror();
  } else {
    try {
      text = check();
    } catch (const std::exception& e) {
      text = std::string("exception: ") + e.what();
    }
  }
  std::fflush(stdout);
  text += '\n';  // the mark of a complete answer
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = write(out, text.data() + done, text.size() - done);
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  _exit(0);
}

}  // namespace

std::string in_child_with_driver(const std::function<std::string()>& check) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  std::fflush(stdout);
  const pid_t child = fork();
  if (child < 0) return "no child process";
  if (child == 0) {
    close(ends[0]);
    run_child(ends[1], check);
  }
  close(ends[1]);
  std::string text;
  char part[4096];
  for (ssize_t n; (n = read(ends[0], part, sizeof part)) > 0;)
    text.append(part, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (!text.ends_with('\n'))
    return "the child ended with status " + std::to_string(status) + ": " + text;
  text.pop_back();
  return text;
}

}  // namespace ft::test
