// Stand-in for the functions of cudart that the backend uses: the same C symbols, linked in its place.
#include <cuda_runtime_api.h>

#include <cstring>

#include "tests/sim/device.h"

using sim::Call;
using sim::OpPtr;

namespace {

// Where the host's side of a copy lies.
enum class Place { device, pinned, pageable };
Place place_of(const void* p) {
  if (sim::device_bytes_at(p) > 0) return Place::device;
  return sim::pinned_bytes_at(p) > 0 ? Place::pinned : Place::pageable;
}

bool holds(const void* p, size_t bytes) {
  switch (place_of(p)) {
    case Place::device:
      return sim::device_bytes_at(p) >= bytes;
    case Place::pinned:
      return sim::pinned_bytes_at(p) >= bytes;
    case Place::pageable:
      return p != nullptr;
  }
  return false;
}

// As CUDA does: pageable memory is staged, so that an upload has read it when the call returns and a download has
// written it.
cudaError_t copy_pageable(void* dst, const void* src, size_t bytes, bool up, cudaStream_t s) {
  if (s->capture)
    return sim::misuse(cudaErrorStreamCaptureUnsupported, "a captured copy of pageable memory");
  sim::count("copies of pageable memory");
  if (up) {
    const auto staged = std::make_shared<std::string>(static_cast<const char*>(src), bytes);
    return sim::enqueue(s, "upload", [=] { std::memcpy(dst, staged->data(), bytes); });
  }
  const cudaError_t error = sim::enqueue(s, "download", [=] { std::memcpy(dst, src, bytes); });
  return error != cudaSuccess ? error : sim::force(s->last);
}

cudaError_t no_handle(const char* call) {
  return sim::misuse(cudaErrorInvalidResourceHandle, std::string(call) + ": no such handle");
}

template <class Handle>
cudaError_t created(Handle* to, Handle handle) {
  sim::add_handle(handle);
  *to = handle;
  return cudaSuccess;
}

template <class Handle>
cudaError_t destroyed(Handle handle) {
  if (!sim::remove_handle(handle)) return sim::failed(cudaErrorInvalidResourceHandle);
  delete handle;
  return cudaSuccess;
}

}  // namespace

// --- device ---

cudaError_t cudaDriverGetVersion(int* version) {
  const Call call(__func__);
  if (call.injected() != 0) return call.error();
  *version = sim::settings().driver < 0 ? CUDART_VERSION : sim::settings().driver;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  const int driver = sim::settings().driver;
  if (driver >= 0 && driver / 1000 < CUDART_VERSION / 1000)
    return sim::failed(cudaErrorInsufficientDriver);
  if (sim::settings().devices == 0) return sim::failed(cudaErrorNoDevice);
  *count = sim::settings().devices;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int index) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (index < 0 || index >= sim::settings().devices)
    return sim::misuse(cudaErrorInvalidDevice, "properties of a device that is not there");
  *p = {};
  std::strcpy(p->name, "simulated");
  p->major = sim::settings().arch / 10;
  p->minor = sim::settings().arch % 10;
  p->totalGlobalMem = sim::settings().memory_bytes;
  p->multiProcessorCount = 132;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->sharedMemPerBlock = size_t{48} << 10;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (index < 0 || index >= sim::settings().devices)
    return sim::misuse(cudaErrorInvalidDevice, "a device that is not there is made current");
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (sim::settings().arch != 90) return sim::failed(cudaErrorNoKernelImageForDevice);
  *attributes = {};
  return cudaSuccess;
}

cudaError_t cudaGetLastError() { return sim::take_last_error(); }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure:
      return "cudaErrorLaunchFailure";
    case cudaErrorIllegalAddress:
      return "cudaErrorIllegalAddress";
    case cudaErrorECCUncorrectable:
      return "cudaErrorECCUncorrectable";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    default:
      return "another cudaError";
  }
}

const char* cudaGetErrorString(cudaError_t) { return "simulated"; }

// --- memory ---

cudaError_t cudaMalloc(void** p, size_t bytes) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  *p = sim::allocate_device(bytes);
  return *p == nullptr ? sim::failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

// Waits for the device, as the real one does.
cudaError_t cudaFree(void* p) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  if (p == nullptr) return cudaSuccess;
  if (const cudaError_t error = sim::force(nullptr); error != cudaSuccess) return error;
  if (sim::release_device(p)) return cudaSuccess;
  return sim::misuse(cudaErrorInvalidValue, "cudaFree: no block of device memory starts there");
}

cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  *p = sim::allocate_pinned(bytes);
  return *p == nullptr ? sim::failed(cudaErrorMemoryAllocation) : cudaSuccess;
}

cudaError_t cudaFreeHost(void* p) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  if (const cudaError_t error = sim::force(nullptr); error != cudaSuccess) return error;
  if (sim::release_pinned(p)) return cudaSuccess;
  return sim::misuse(cudaErrorInvalidValue, "cudaFreeHost: no block of pinned memory starts there");
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  *total = sim::settings().memory_bytes;
  *free = *total - sim::device_bytes_in_use();
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* dst, const void* src, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t s) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s)) return no_handle(__func__);
  if (bytes == 0) return cudaSuccess;
  const Place to = place_of(dst), from = place_of(src);
  const bool up = kind == cudaMemcpyHostToDevice, down = kind == cudaMemcpyDeviceToHost;
  const bool right = (to == Place::device) == !down && (from == Place::device) == !up;
  if (!right || !holds(dst, bytes) || !holds(src, bytes))
    return sim::misuse(cudaErrorInvalidValue,
                       "cudaMemcpyAsync: wrong direction, or more than the memory holds");
  if (to == Place::pageable || from == Place::pageable)
    return copy_pageable(dst, src, bytes, up, s);
  return sim::enqueue(s, "copy", [=] { std::memmove(dst, src, bytes); });
}

cudaError_t cudaMemsetAsync(void* p, int value, size_t bytes, cudaStream_t s) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s)) return no_handle(__func__);
  if (sim::device_bytes_at(p) < bytes)
    return sim::misuse(cudaErrorInvalidValue, "cudaMemsetAsync: more than the memory holds");
  return sim::enqueue(s, "fill", [=] { std::memset(p, value, bytes); });
}

// --- streams and events ---

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned flags) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (flags != cudaStreamNonBlocking)
    return sim::misuse(cudaErrorInvalidValue, "a stream that waits for the default stream");
  return created(s, new CUstream_st);
}

// Work that is queued still runs.
cudaError_t cudaStreamDestroy(cudaStream_t s) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  return destroyed(s);
}

cudaError_t cudaStreamSynchronize(cudaStream_t s) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s)) return no_handle(__func__);
  return s->last ? sim::force(s->last) : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s) || !sim::is_handle(e)) return no_handle(__func__);
  if (!e->op) return cudaSuccess;  // never recorded: no wait, as in CUDA
  if (e->capture && !s->capture) sim::join_capture(s, e->capture);
  if (e->capture != s->capture)
    return sim::misuse(cudaErrorStreamCaptureIsolation,
                       "event and stream belong to different captures");
  s->waits.push_back(e->op);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned flags) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  return created(e, new CUevent_st{(flags & cudaEventDisableTiming) == 0, {}, {}});
}

cudaError_t cudaEventDestroy(cudaEvent_t e) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  return destroyed(e);
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s) || !sim::is_handle(e)) return no_handle(__func__);
  if (const cudaError_t error = sim::enqueue(s, "event", [] {}); error != cudaSuccess) return error;
  e->op = s->last;
  e->capture = s->capture;
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) {
  const Call call(__func__, Call::Kind::waits);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(e)) return no_handle(__func__);
  return e->op ? sim::force(e->op) : cudaSuccess;  // never recorded: no wait, as in CUDA
}

// The host's clock, between the ends of what ran before each event.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(begin) || !sim::is_handle(end)) return no_handle(__func__);
  if (!begin->timed || !end->timed || !begin->op || !end->op)
    return sim::misuse(cudaErrorInvalidResourceHandle,
                       "time between events that carry none or were not recorded");
  if (!begin->op->done || !end->op->done) return sim::failed(cudaErrorNotReady);
  *milliseconds =
      std::chrono::duration<float, std::milli>(end->op->finished - begin->op->finished).count();
  return cudaSuccess;
}

// --- graphs ---

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(s)) return no_handle(__func__);
  if (s->capture) return sim::misuse(cudaErrorIllegalState, "the stream is being captured already");
  sim::begin_capture(s);
  return cudaSuccess;
}

// A capture is over even where ending it fails.
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  const Call call(__func__);
  if (!sim::is_handle(s)) return no_handle(__func__);
  const sim::CapturePtr capture = s->capture;
  if (!capture || capture->origin != s)
    return sim::misuse(cudaErrorStreamCaptureUnmatched, "a capture is ended on another stream");
  const bool joined = sim::end_capture(capture);
  *graph = nullptr;
  if (call.error() != cudaSuccess) return call.error();
  if (capture->broken) return sim::failed(cudaErrorStreamCaptureInvalidated);
  if (!joined)
    return sim::misuse(cudaErrorStreamCaptureUnjoined, "a captured stream was not joined");
  return created(graph, new CUgraph_st{capture->nodes});
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* exec, cudaGraph_t graph, unsigned long long) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(graph)) return no_handle(__func__);
  return created(exec, new CUgraphExec_st{graph->nodes, {}});
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  return destroyed(graph);
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  return destroyed(exec);
}

// A start, copies of all nodes, an end.
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s) {
  const Call call(__func__);
  if (call.error() != cudaSuccess) return call.error();
  if (!sim::is_handle(exec) || !sim::is_handle(s)) return no_handle(__func__);
  if (exec->last) s->waits.push_back(exec->last);  // an executable graph never overlaps itself
  cudaError_t error = sim::enqueue(s, "graph start", [] {});
  if (error != cudaSuccess) return error;
  std::map<const sim::Op*, OpPtr> copies;
  for (const OpPtr& node : exec->nodes) {
    const auto copy = std::make_shared<sim::Op>();
    copy->name = node->name + " (graph)";
    copy->work = node->work;
    copy->after = {s->last};
    for (const OpPtr& o : node->after) copy->after.push_back(copies.at(o.get()));
    sim::add_pending(copy);
    copies[node.get()] = copy;
  }
  for (const auto& [original, copy] : copies) s->waits.push_back(copy);
  error = sim::enqueue(s, "graph end", [] { sim::hang_if_asked(); });
  exec->last = s->last;
  return error;
}
