// Control panel of the simulated CUDA device; tests alone include it. There is one device a process: the plugin
// and the test share it, since both link this library. Settings come from the variable FT_SIM when the library is
// loaded ("seed=3,memory_mib=64,fail=cudaMalloc:2:2"; names as in Settings) or from reset(). Any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace sim {

constexpr int kForgotten = -1;

// A failure put on purpose: the nth call of a function returns `code` of its library.
struct Failure {
  std::string call;  // "cudaMalloc"; empty: of all calls that can fail
  int nth = 0;       // from 1; 0: none
  int code = 0;      // kForgotten: the call does nothing and succeeds (cudnnBackendSetAttribute)
  bool for_ever = false;  // and every later one
  bool sticky = false;    // the device is lost: every later call of CUDA repeats the code
};

struct Settings {
  uint64_t seed = 1;  // of the order of queued work, blocks and threads; 0: the natural order
  size_t memory_bytes = size_t{16} << 30;
  int devices = 1;
  int arch = 90;    // kernels exist for 90
  int driver = -1;  // version of CUDA that the driver is for; -1: that of the headers
  int64_t cudnn = -1, cublas = -1;  // versions; -1: those of the headers
  Failure failure;
  int hang = 0;  // the end of the nth graph that is launched never comes; 0: none
  // Where counts() are written: when the process ends, and at every call since the device was lost.
  std::string counts_file;
};

// Forgets queued work, memory, handles, reports and counts: those from before are dead.
void reset(const Settings& settings);
Settings settings_from(const std::string& text);  // of FT_SIM; throws std::runtime_error

// Calls by name since the last reset; also "kernels", "copies of pageable memory", "blocks of memory" and
// "bytes of memory" (both alive now), "calls of a lost device", "handles" (streams, events, graphs, libraries alive now).
std::map<std::string, int64_t> counts();

// Misuse of the device: wrong arguments, bytes past the end of a block, work that was never joined. A report ends
// the process, unless reports are collected.
void report(const std::string& what);
void collect_reports(bool on);
std::vector<std::string> take_reports();

// Looks for bytes written past the end of blocks of device memory, and reports them.
void check_memory();

// A fault inside a kernel; it becomes a sticky CUDA error.
struct DeviceFault : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace sim
