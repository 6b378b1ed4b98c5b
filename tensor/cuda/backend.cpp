// Memory, streams and graphs of the CUDA backend.
#include <fmt/format.h>

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/cudnn_plan.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/layouts.h"

namespace ft::cuda {
namespace {

class CudaStream final : public Stream {
 public:
  CudaStream() { FT_CUDA(cudaStreamCreateWithFlags(stream_.receive(), cudaStreamNonBlocking)); }
  StreamRef ref() const override { return StreamRef(stream_.get()); }

 private:
  StreamHandle stream_;
};

class CudaEvent final : public Event {
 public:
  // flags: cudaEventDefault for one that carries a time, else cudaEventDisableTiming
  explicit CudaEvent(unsigned flags) { FT_CUDA(cudaEventCreateWithFlags(event_.receive(), flags)); }
  cudaEvent_t get() const { return event_.get(); }

 private:
  EventHandle event_;
};

cudaEvent_t native(const Event& event) { return static_cast<const CudaEvent&>(event).get(); }

// A capture that is going on; it is ended on every way out, also when what is captured throws.
class Capture {
 public:
  Capture(cudaStream_t stream, bool& flag) : stream_(stream), flag_(flag) {
    FT_CHECK(!flag_, "a capture within a capture");
    FT_CUDA(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    flag_ = true;
  }
  ~Capture() {
    if (!flag_) return;
    flag_ = false;
    cudaStreamEndCapture(stream_, graph_.receive());
    cudaGetLastError();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  const GraphHandle& end() {
    flag_ = false;
    FT_CUDA(cudaStreamEndCapture(stream_, graph_.receive()));
    return graph_;
  }

 private:
  cudaStream_t stream_;
  bool& flag_;
  GraphHandle graph_;
};

void* allocated(void* block, cudaError_t status, int number, const char* where, size_t bytes) {
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    throw Error(number, where, fmt::format("{} MiB could not be allocated", bytes >> 20),
                "use a smaller --batch or --micro-batch, or free memory");
  }
  check(status, number == 4002 ? "cudaMalloc" : "cudaHostAlloc", __FILE__, __LINE__);
  return block;
}

}  // namespace

void* DeviceAllocator::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  FT_CUDA(cudaSetDevice(index_));
  void* block = nullptr;
  const cudaError_t status = cudaMalloc(&block, bytes);
  return allocated(block, status, 4002, "device memory", bytes);
}

void DeviceAllocator::release(void* block, size_t) noexcept { log_failure(cudaFree(block)); }

void* PinnedAllocator::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  void* block = nullptr;
  const cudaError_t status = cudaHostAlloc(&block, bytes, cudaHostAllocPortable);
  return allocated(block, status, 4001, "page-locked host memory", bytes);
}

void PinnedAllocator::release(void* block, size_t) noexcept { log_failure(cudaFreeHost(block)); }

CudaBackend::CudaBackend(int index, const BackendOptions& options)
    : index_(index),
      options_(options),
      info_(check_device(index)),
      allocator_(index),
      copies_(allocator_) {
  if (options_.plans)
    options_.plans->match(cudnn_name(),
                          fmt::format("{} (sm_{}{})", info_.name, info_.major, info_.minor));
  FT_CUDNN(cudnnCreate(cudnn_.receive()));
  FT_CUBLAS(cublasLtCreate(cublas_.receive()));
}

CudaBackend::~CudaBackend() = default;

std::string CudaBackend::describe() const { return cuda::describe(index_, info_); }

void CudaBackend::activate() const { FT_CUDA(cudaSetDevice(index_)); }

cudaStream_t CudaBackend::enter(StreamRef s) const {
  activate();
  return static_cast<cudaStream_t>(s.native());
}

cudnnHandle_t CudaBackend::cudnn(StreamRef s) {
  const cudaStream_t stream = enter(s);
  if (stream != cudnn_stream_) FT_CUDNN(cudnnSetStream(cudnn_.get(), stream));
  cudnn_stream_ = stream;
  return cudnn_.get();
}

bool CudaBackend::supports(DType compute) const {
  return compute == DType::f32 || (compute == DType::bf16 && info_.major >= 8);
}

void CudaBackend::require(DType type, const std::string& op) const {
  if (supports(type)) return;
  throw Error(3021, op, fmt::format("{} does not compute in {}", describe(), name_of(type)),
              "use --precision f32, or another --device");
}

Layout CudaBackend::image_layout(DType compute) const { return cuda::image_layout(compute); }

size_t CudaBackend::free_bytes() {
  activate();
  size_t free = 0, total = 0;
  FT_CUDA(cudaMemGetInfo(&free, &total));
  return free;
}

std::unique_ptr<Stream> CudaBackend::make_stream() {
  activate();
  return std::make_unique<CudaStream>();
}

std::unique_ptr<Event> CudaBackend::make_event() {
  activate();
  return std::make_unique<CudaEvent>(cudaEventDisableTiming);
}

std::unique_ptr<Event> CudaBackend::make_timer() {
  activate();
  return std::make_unique<CudaEvent>(cudaEventDefault);
}

double CudaBackend::seconds_between(const Event& begin, const Event& end) const {
  float milliseconds = 0;
  FT_CUDA(cudaEventElapsedTime(&milliseconds, native(begin), native(end)));
  return 1e-3 * static_cast<double>(milliseconds);
}

void CudaBackend::record(StreamRef s, Event& event) {
  FT_CUDA(cudaEventRecord(native(event), enter(s)));
}

void CudaBackend::wait(StreamRef s, Event& event) {
  FT_CUDA(cudaStreamWaitEvent(enter(s), native(event), 0));
}

void CudaBackend::synchronize(StreamRef s) { FT_CUDA(cudaStreamSynchronize(enter(s))); }

void CudaBackend::await(const Event& event) { FT_CUDA(cudaEventSynchronize(native(event))); }

std::function<void()> CudaBackend::capture(StreamRef s, std::function<void()> fn) {
  const cudaStream_t stream = enter(s);
  ++captures_;
  Capture capture(stream, capturing_);
  fn();
  const auto graph = std::make_shared<GraphExecHandle>();
  FT_CUDA(cudaGraphInstantiate(graph->receive(), capture.end().get(), 0));
  return [this, graph, s] { FT_CUDA(cudaGraphLaunch(graph->get(), enter(s))); };
}

void CudaBackend::upload(StreamRef s, const void* host, const Tensor& dst) {
  FT_CUDA(cudaMemcpyAsync(dst.data(), host, dst.bytes(), cudaMemcpyHostToDevice, enter(s)));
}

void CudaBackend::download(StreamRef s, const Tensor& src, void* host) {
  FT_CUDA(cudaMemcpyAsync(host, src.data(), src.bytes(), cudaMemcpyDeviceToHost, enter(s)));
}

void CudaBackend::fill_zero(StreamRef s, const Tensor& y) {
  if (y.bytes() > 0) FT_CUDA(cudaMemsetAsync(y.data(), 0, y.bytes(), enter(s)));
}

void CudaBackend::convert(StreamRef s, const Tensor& x, const Tensor& y) {
  cuda::convert(enter(s), x, y);
}

}  // namespace ft::cuda

// The plugin's one entry.
extern "C" __attribute__((visibility("default"))) ft::Backend* ft_make_backend(
    int index, const ft::BackendOptions* options) {
  return new ft::cuda::CudaBackend(index, *options);
}
