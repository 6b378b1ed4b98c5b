// ftrun: from a folder of images per class and a weight file to a fine-tuned network. Turns errors into one
// line on stderr and the exit status of docs/errors.md.
#include <signal.h>

#include <cstdio>
#include <new>

#include "apps/ftrun/commands.h"

int main(int argc, char** argv) {
  signal(SIGXFSZ, SIG_IGN);  // a file size limit is an error of write(), not a silent death
  signal(SIGPIPE, SIG_IGN);  // a reader that is gone does not end a run
  setvbuf(stdout, nullptr, _IOLBF, 0);  // in order with errors, and nothing lost, where output goes to a file
  try {
    return ft::app::run(argc, argv);
  } catch (const ft::Error& e) {
    std::fprintf(stderr, "%s\n", e.line().c_str());
    return static_cast<int>(e.status());
  } catch (const std::bad_alloc&) {
    std::fprintf(stderr, "ftrun: error E4001: host memory: no memory is left; use a smaller --batch\n");
    return static_cast<int>(ft::ExitStatus::out_of_memory);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ftrun: error E1002: %s; this is a bug in ftrun: please report it\n", e.what());
    return static_cast<int>(ft::ExitStatus::internal);
  }
}
