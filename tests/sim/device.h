// The device behind the stand-ins for the libraries: calls that are counted and made to fail, memory, and work that
// is queued now and run later. An operation knows which earlier ones it must follow (the last of its stream, events
// that were waited for) and runs only when a call waits; then operations that may run do so in random order until the
// wanted one is done. For the files of this folder alone; the caller of everything but Call holds the lock of a Call.
#pragma once

#include <cuda_runtime_api.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sanitizers.h"
#include "tests/sim/sim.h"

namespace sim {

// One operation of a stream or node of a graph.
struct Op {
  std::string name;
  std::function<void()> work;
  std::vector<std::shared_ptr<Op>> after;
  bool done = false;
  std::chrono::steady_clock::time_point finished{};
  void* context =
      nullptr;  // TSan: made when it is queued, so that what the host does later is not before it
  char token = 0;  // TSan: released when it is done, acquired by what follows it
};
using OpPtr = std::shared_ptr<Op>;

// What the next operation of a stream must follow.
struct Tail {
  OpPtr last;
  std::vector<OpPtr> waits;
};

// A capture that is going on. Streams that wait for an event of it take part; their own order goes on afterwards.
struct Capture {
  cudaStream_t origin = nullptr;
  std::vector<OpPtr> nodes;
  std::map<cudaStream_t, Tail> streams;
  bool broken = false;
};
using CapturePtr = std::shared_ptr<Capture>;

}  // namespace sim

// CUDA's opaque types.
struct CUstream_st : sim::Tail {
  sim::CapturePtr capture;
};
struct CUevent_st {
  bool timed = false;
  sim::OpPtr op;
  sim::CapturePtr capture;
};
struct CUgraph_st {
  std::vector<sim::OpPtr> nodes;
};
struct CUgraphExec_st {
  std::vector<sim::OpPtr> nodes;
  sim::OpPtr last;
};

namespace sim {

// One call into a library: takes the lock, counts, and tells whether it is to fail.
class Call {
 public:
  enum class Kind { plain, waits };  // waits: not allowed while a stream is captured
  explicit Call(const char* name, Kind kind = Kind::plain);
  // Code of the injected failure; 0: none.
  int injected() const { return injected_; }
  // For CUDA's own functions: the failure, the lost device's error, or success.
  cudaError_t error() const { return error_; }

 private:
  TsanIgnore ignore_;
  std::lock_guard<std::recursive_mutex> lock_;
  int injected_ = 0;
  cudaError_t error_ = cudaSuccess;
};

const Settings& settings();
uint64_t random();
bool shuffled();  // the seed is not 0
void count(const std::string& what, int64_t change = 1);

// Sets the error that cudaGetLastError returns, and returns it.
cudaError_t failed(cudaError_t error);
// The same, with a report.
cudaError_t misuse(cudaError_t error, const std::string& what);
cudaError_t take_last_error();

// --- memory ---
// New memory holds not-a-number. Addresses are never used twice; a block is followed by guard bytes. Device memory can be
// touched only while operations run. nullptr: the limit is reached.
void* allocate_device(size_t bytes);
bool release_device(void* block);  // false: not a block
void* allocate_pinned(size_t bytes);
bool release_pinned(void* block);
// Bytes from p to the end of its block; 0: p lies in none.
size_t device_bytes_at(const void* p);
size_t pinned_bytes_at(const void* p);
size_t device_bytes_in_use();

// --- work ---
// Queues work on a stream; `pointers` are those that a kernel gets: null, or device or pinned memory.
cudaError_t enqueue(cudaStream_t s, std::string name, std::function<void()> work,
                    const std::vector<const void*>& pointers = {});
// Sees every operation as it is queued on a stream, and may wrap its work: for the stand-ins of profilers.
void set_watcher(void (*watcher)(Op& op));
// Adds an operation outside of streams, a copy of a graph's node.
void add_pending(const OpPtr& op);
// Of the end of a graph: does not return from the one that Settings::hang names.
void hang_if_asked();
// Runs operations until `target` is done; nullptr: until none is left.
cudaError_t force(const OpPtr& target);

// --- handles: streams, events, graphs, those of cuDNN and cuBLASLt ---
void add_handle(const void* handle);
bool is_handle(const void* handle);
bool remove_handle(const void* handle);  // false, and a report, if it was not alive

// Captures.
void begin_capture(cudaStream_t s);
void join_capture(cudaStream_t s, const CapturePtr& capture);
// Ends it on all its streams; false: operations of a stream that took part do not reach the end of the origin.
bool end_capture(const CapturePtr& capture);

}  // namespace sim
