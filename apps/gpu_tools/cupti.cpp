// Kernels by CUPTI's activity records: each has a correlation, which another record joins to the tag of a range.
#include "apps/gpu_tools/cupti.h"

#include <cuda_runtime_api.h>
#include <cupti.h>
#include <cxxabi.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>

namespace ft::tools {
namespace {

// Records have the layout of one major version; those of kernels only grew at the end since this one.
const std::string kLibrary = fmt::format("libcupti.so.{}", CUDART_VERSION / 1000);
using KernelRecord = CUpti_ActivityKernel9;

constexpr CUpti_ActivityKind kKinds[] = {CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION,
                                         CUPTI_ACTIVITY_KIND_RUNTIME, CUPTI_ACTIVITY_KIND_DRIVER,
                                         CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL};

struct Api {
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks = nullptr;
  decltype(&cuptiActivityEnable) enable = nullptr;
  decltype(&cuptiActivityDisable) disable = nullptr;
  decltype(&cuptiActivityFlushAll) flush = nullptr;
  decltype(&cuptiActivityGetNextRecord) next = nullptr;
  decltype(&cuptiActivityPushExternalCorrelationId) push = nullptr;
  decltype(&cuptiActivityPopExternalCorrelationId) pop = nullptr;
  decltype(&cuptiGetResultString) text = nullptr;
};

struct Kernel {
  std::string name;
  uint32_t correlation;
  uint64_t begin, end;  // nanoseconds
};

// What the callbacks fill.
struct Records {
  std::mutex mutex;
  Api api;
  std::vector<Kernel> kernels;
  std::map<uint32_t, uint64_t> tags;  // by correlation
};

Records& records() {
  static Records& all = *new Records;  // CUPTI's own threads may outlive static objects
  return all;
}

std::string readable(const char* name) {
  if (name == nullptr) return "without a name";
  int status = 0;
  char* const text = abi::__cxa_demangle(name, nullptr, nullptr, &status);
  std::string result = text == nullptr ? name : text;
  std::free(text);
  return result;
}

void CUPTIAPI give_buffer(uint8_t** buffer, size_t* bytes, size_t* most_records) {
  *bytes = size_t{1} << 20;
  *most_records = 0;  // as many as fit
  *buffer = static_cast<uint8_t*>(std::aligned_alloc(8, *bytes));
  if (*buffer == nullptr) *bytes = 0;
}

void CUPTIAPI take_buffer(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid_bytes) {
  Records& all = records();
  const std::lock_guard lock(all.mutex);
  CUpti_Activity* record = nullptr;
  while (all.api.next(buffer, valid_bytes, &record) == CUPTI_SUCCESS) {
    if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
      const auto& k = *reinterpret_cast<const KernelRecord*>(record);
      all.kernels.push_back({readable(k.name), k.correlationId, k.start, k.end});
    } else if (record->kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION) {
      const auto& e = *reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(record);
      all.tags[e.correlationId] = e.externalId;
    }
  }
  std::free(buffer);
}

// Empty, or why not.
std::string open(Api& api) {
  if (api.next != nullptr) return {};
  void* const library = dlopen(kLibrary.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  bool all = true;
  const auto get = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    all &= function != nullptr;
  };
  get(api.register_callbacks, "cuptiActivityRegisterCallbacks");
  get(api.enable, "cuptiActivityEnable");
  get(api.disable, "cuptiActivityDisable");
  get(api.flush, "cuptiActivityFlushAll");
  get(api.push, "cuptiActivityPushExternalCorrelationId");
  get(api.pop, "cuptiActivityPopExternalCorrelationId");
  get(api.text, "cuptiGetResultString");
  get(api.next, "cuptiActivityGetNextRecord");
  if (all) return {};
  api = {};
  return kLibrary + " lacks functions";
}

// "cuptiActivityEnable: CUPTI_ERROR_NOT_INITIALIZED"; empty on success.
std::string failure(const Api& api, const char* call, CUptiResult result) {
  if (result == CUPTI_SUCCESS) return {};
  const char* text = nullptr;
  api.text(result, &text);
  return fmt::format("{}: {}", call, text == nullptr ? "unknown error" : text);
}

}  // namespace

std::string CuptiRecorder::start() {
  Records& all = records();
  const Api& api = all.api;
  if (std::string why = open(all.api); !why.empty()) return why;
  all.kernels.clear();
  all.tags.clear();
  std::string why = failure(api, "cuptiActivityRegisterCallbacks",
                            api.register_callbacks(give_buffer, take_buffer));
  for (const CUpti_ActivityKind kind : kKinds)
    if (why.empty()) why = failure(api, "cuptiActivityEnable", api.enable(kind));
  recording_ = why.empty();
  if (!recording_)
    for (const CUpti_ActivityKind kind : kKinds) api.disable(kind);
  return why;
}

std::vector<KernelRun> CuptiRecorder::stop() {
  if (!recording_) return {};
  recording_ = false;
  Records& all = records();
  all.api.flush(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
  for (const CUpti_ActivityKind kind : kKinds) all.api.disable(kind);
  const std::lock_guard lock(all.mutex);
  std::ranges::stable_sort(all.kernels, {}, &Kernel::begin);
  std::vector<KernelRun> runs;
  for (const Kernel& k : all.kernels) {
    const auto tag = all.tags.find(k.correlation);
    runs.push_back({k.name, tag == all.tags.end() ? 0 : tag->second,
                    1e-9 * static_cast<double>(k.end - k.begin)});
  }
  return runs;
}

void CuptiRecorder::push(uint64_t tag) {
  if (recording_) records().api.push(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, tag);
}

void CuptiRecorder::pop() {
  uint64_t tag = 0;
  if (recording_) records().api.pop(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM0, &tag);
}

}  // namespace ft::tools
