// ftrun: from a folder of images per class and a weight file to a fine-tuned network. Turns errors into one
// line on stderr and the exit status of docs/errors.md.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>

#include "apps/ftrun/commands.h"

namespace {

int lost_output = 0;  // errno of the first write to standard output that failed

// What cannot be written is dropped: a reader that is gone, or a full disk behind `>`, does not end a training.
ssize_t write_or_drop(void*, const char* bytes, size_t count) {
  size_t done = 0;
  while (lost_output == 0 && done < count) {
    const ssize_t n = ::write(STDOUT_FILENO, bytes + done, count - done);
    if (n >= 0) {
      done += static_cast<size_t>(n);
    } else if (errno != EINTR) {
      lost_output = errno;
    }
  }
  return static_cast<ssize_t>(count);
}

// Line by line, so that output is in order with errors, and nothing is lost where it goes to a file.
void open_output() {
  FILE* output = fopencookie(nullptr, "w", {nullptr, write_or_drop, nullptr, nullptr});
  if (output == nullptr) return;  // no memory: the ordinary one has to do
  setvbuf(output, nullptr, _IOLBF, BUFSIZ);
  stdout = output;
}

// Whose output is the result. A training's is in its files.
bool output_matters(int argc, char** argv) {
  return argc > 1 && std::string_view(argv[1]) != "finetune";
}

int run(int argc, char** argv) {
  const int status = ft::app::run(argc, argv);
  std::fflush(stdout);
  const bool reader_gone = lost_output == EPIPE || lost_output == EBADF;
  if (status != 0 || lost_output == 0 || reader_gone || !output_matters(argc, argv)) return status;
  throw ft::Error(5045, "standard output", std::strerror(lost_output),
                  "give it room, and run the same command again");
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of write(), not a silent death
  signal(SIGPIPE, SIG_IGN);  // a reader that is gone does not end a run
  open_output();
  try {
    return run(argc, argv);
  } catch (const ft::Error& e) {
    std::fprintf(stderr, "%s\n", e.line().c_str());
    return static_cast<int>(e.status());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr,
                 "ftrun: error E4001: host memory: no memory is left; use a smaller --batch\n");
    return static_cast<int>(ft::ExitStatus::out_of_memory);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ftrun: error E1002: %s; this is a bug in ftrun: please report it\n",
                 e.what());
    return static_cast<int>(ft::ExitStatus::internal);
  }
}
