// One file from the network into one file on disk, which grows and stays when the transfer ends early, so that the next
// one goes on where it ended. libcurl does the work; it is opened when it is needed, because nothing else needs it. Nothing
// about the content is believed: the caller compares its hash. One fetch at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace ft {

struct FetchRequest {
  std::string url;             // http or https; what an https address leads on to has to be https
  std::filesystem::path part;  // the growing file; gone if nothing came
  uint64_t most_bytes = 0;     // more are refused
  int stall_seconds = 30;      // so long below 1 KiB/s ends the transfer
  // Called now and then; `total` is 0 where the server does not say it.
  std::function<void(uint64_t done, uint64_t total)> on_progress;
};

struct FetchResult {
  uint64_t bytes = 0;    // of the whole file
  uint64_t resumed = 0;  // of these, there already
};

// Throws Error 5040 if the server cannot be reached or does not give the file, 5041 without libcurl, 5042 if the
// transfer ends early or stalls, 2352 for a file of more than most_bytes, and what writing throws (5001-5016).
FetchResult fetch(const FetchRequest& request);

}  // namespace ft
