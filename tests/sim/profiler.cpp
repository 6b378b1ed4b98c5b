// Stand-in for cudart's brackets for profilers, and for CUPTI's activity records (libcupti is linked to this library and
// holds nothing of its own): what is queued is seen by a watcher, and records of kernels are made of it.
#include <cuda_profiler_api.h>
#include <cupti.h>

#include <algorithm>
#include <cstring>
#include <deque>
#include <set>

#include "tests/sim/device.h"

using sim::Call;

namespace {

using Clock = std::chrono::steady_clock;

struct Launch {
  std::string name;
  uint64_t tag = 0;  // of the caller's range; 0: none
  Clock::time_point begin, end;
};

// Never destroyed, as the device.
struct Profiler {
  bool bracket = false;
  std::set<CUpti_ActivityKind> enabled;
  std::vector<uint64_t> ranges;
  std::deque<Launch> launches;  // their addresses stay
  CUpti_BuffersCallbackRequestFunc give = nullptr;
  CUpti_BuffersCallbackCompleteFunc take = nullptr;
};

Profiler& profiler() {
  static Profiler& p = *new Profiler;
  return p;
}

bool is_kernel(const std::string& name) {
  return std::ranges::any_of(std::array{"kernel of", "cuDNN", "cuBLASLt"},
                             [&](const char* begin) { return name.starts_with(begin); });
}

void watch(sim::Op& op) {
  Profiler& p = profiler();
  if (!is_kernel(op.name)) return;
  if (p.bracket) sim::count("kernels in brackets");
  if (!p.enabled.contains(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL)) return;
  Launch& launch = p.launches.emplace_back();
  launch.name = op.name;
  const bool joined = p.enabled.contains(CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION) &&
                      p.enabled.contains(CUPTI_ACTIVITY_KIND_RUNTIME) && !p.ranges.empty();
  launch.tag = joined ? p.ranges.back() : 0;
  op.work = [&launch, work = op.work] {
    launch.begin = Clock::now();
    work();
    launch.end = Clock::now();
  };
}

cudaError_t set_bracket(const Call& call, bool on) {
  if (call.error() != cudaSuccess) return call.error();
  if (profiler().bracket == on)
    return sim::misuse(cudaErrorInvalidValue, "brackets for profilers do not match");
  profiler().bracket = on;
  sim::set_watcher(watch);
  return cudaSuccess;
}

CUptiResult result_of(const Call& call) {
  return call.injected() != 0 ? static_cast<CUptiResult>(call.injected()) : CUPTI_SUCCESS;
}

uint64_t nanoseconds(Clock::time_point t) {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(t.time_since_epoch()).count());
}

// Appends records to the caller's buffers, which it gets back full.
class Writer {
 public:
  ~Writer() { hand_over(); }
  template <class Record>
  void put(const Record& record) {
    if (used_ + sizeof record > bytes_) next_buffer();
    std::memcpy(buffer_ + used_, &record, sizeof record);
    used_ += sizeof record;
  }

 private:
  void hand_over() {
    if (buffer_ != nullptr) profiler().take(nullptr, 0, buffer_, bytes_, used_);
    buffer_ = nullptr;
  }
  void next_buffer() {
    hand_over();
    size_t most = 0;
    profiler().give(&buffer_, &bytes_, &most);
    used_ = 0;
  }
  uint8_t* buffer_ = nullptr;
  size_t bytes_ = 0, used_ = 0;
};

size_t size_of(CUpti_ActivityKind kind) {
  return kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION
             ? sizeof(CUpti_ActivityExternalCorrelation)
             : sizeof(CUpti_ActivityKernel9);
}

}  // namespace

cudaError_t cudaProfilerStart() {
  const Call call(__func__);
  return set_bracket(call, true);
}

cudaError_t cudaProfilerStop() {
  const Call call(__func__);
  return set_bracket(call, false);
}

CUptiResult cuptiActivityRegisterCallbacks(CUpti_BuffersCallbackRequestFunc give,
                                           CUpti_BuffersCallbackCompleteFunc take) {
  const Call call(__func__);
  profiler().give = give;
  profiler().take = take;
  return result_of(call);
}

CUptiResult cuptiActivityEnable(CUpti_ActivityKind kind) {
  const Call call(__func__);
  if (result_of(call) != CUPTI_SUCCESS) return result_of(call);
  profiler().enabled.insert(kind);
  sim::set_watcher(watch);
  return CUPTI_SUCCESS;
}

CUptiResult cuptiActivityDisable(CUpti_ActivityKind kind) {
  const Call call(__func__);
  profiler().enabled.erase(kind);
  return result_of(call);
}

CUptiResult cuptiActivityPushExternalCorrelationId(CUpti_ExternalCorrelationKind, uint64_t id) {
  const Call call(__func__);
  profiler().ranges.push_back(id);
  return result_of(call);
}

CUptiResult cuptiActivityPopExternalCorrelationId(CUpti_ExternalCorrelationKind, uint64_t* id) {
  const Call call(__func__);
  if (profiler().ranges.empty()) return CUPTI_ERROR_QUEUE_EMPTY;
  *id = profiler().ranges.back();
  profiler().ranges.pop_back();
  return result_of(call);
}

CUptiResult cuptiActivityFlushAll(uint32_t) {
  const Call call(__func__);
  static std::deque<std::string>& names = *new std::deque<std::string>;
  Writer writer;
  uint32_t correlation = 0;
  for (const Launch& launch : profiler().launches) {
    ++correlation;
    if (launch.tag != 0) {
      CUpti_ActivityExternalCorrelation e{};
      e.kind = CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
      e.externalId = launch.tag;
      e.correlationId = correlation;
      writer.put(e);
    }
    CUpti_ActivityKernel9 k{};
    k.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
    k.correlationId = correlation;
    k.name = names.emplace_back(launch.name).c_str();
    k.start = nanoseconds(launch.begin);
    k.end = nanoseconds(launch.end);
    writer.put(k);
  }
  profiler().launches.clear();
  return result_of(call);
}

CUptiResult cuptiActivityGetNextRecord(uint8_t* buffer, size_t valid_bytes,
                                       CUpti_Activity** record) {
  uint8_t* at = buffer;
  if (*record != nullptr) {
    CUpti_ActivityKind kind;
    std::memcpy(&kind, *record, sizeof kind);
    at = reinterpret_cast<uint8_t*>(*record) + size_of(kind);
  }
  if (at >= buffer + valid_bytes) return CUPTI_ERROR_MAX_LIMIT_REACHED;
  *record = reinterpret_cast<CUpti_Activity*>(at);
  return CUPTI_SUCCESS;
}

CUptiResult cuptiGetResultString(CUptiResult, const char** text) {
  *text = "an error of the simulated CUPTI";
  return CUPTI_SUCCESS;
}
