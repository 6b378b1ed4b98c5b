// The CUDA backend: cuDNN for convolutions, cuBLASLt for matrix products, own kernels for the rest. Activations and
// weights of rank 4 are NHWC; every call queues work on the stream that it is given and returns. A backend belongs to
// one device, which it makes current in the calling thread whenever it is called; one thread at a time. Memory comes
// from cudaMalloc: it is asked for at setup, never within a step.
#pragma once

#include <string>

#include "tensor/backend.h"
#include "tensor/cuda/handles.h"
#include "tensor/cuda/weight_copies.h"

namespace ft::cuda {

class CudnnPlan;

// Memory of one device.
class DeviceAllocator final : public Allocator {
 public:
  explicit DeviceAllocator(int index) : index_(index) {}
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;

 private:
  int index_;
};

// Page-locked host memory.
class PinnedAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;
};

// The device behind an index after all checks: driver, device, architecture, library versions. Throws Error 300x.
struct DeviceInfo {
  std::string name;
  int major = 0, minor = 0;
  size_t memory_bytes = 0;
  int driver_version = 0;
};
DeviceInfo check_device(int index);
// One line for the header of a run.
std::string describe(int index, const DeviceInfo& info);

class CudaBackend final : public Backend {
 public:
  CudaBackend(int index, const BackendOptions& options);
  ~CudaBackend() override;

  Device device() const override { return {Device::Kind::cuda, index_}; }
  std::string describe() const override;

  Allocator& allocator() override { return allocator_; }
  Allocator& host_allocator() override { return pinned_; }
  size_t free_bytes() override;
  std::unique_ptr<Stream> make_stream() override;
  std::unique_ptr<Event> make_event() override;
  std::unique_ptr<Event> make_timer() override;
  double seconds_between(const Event& begin, const Event& end) const override;
  void record(StreamRef s, Event& event) override;
  void wait(StreamRef s, Event& event) override;
  void synchronize(StreamRef s) override;
  void await(const Event& event) override;
  std::function<void()> capture(StreamRef s, std::function<void()> fn) override;
  void upload(StreamRef s, const void* host, const Tensor& dst) override;
  void download(StreamRef s, const Tensor& src, void* host) override;

  Layout image_layout(DType compute) const override;
  Layout weight_layout() const override { return Layout::nhwc; }
  bool supports(DType compute) const override;

  std::unique_ptr<Conv2dPlan> make_conv2d(const Conv2dSpec& spec) override;
  std::vector<std::unique_ptr<Conv2dPlan>> make_conv2d_engines(const Conv2dSpec& spec,
                                                               PassKind pass) override;
  std::unique_ptr<MatmulPlan> make_matmul(const MatmulSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_pool2d(const Pool2dSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_adaptive_avg_pool2d(const AdaptiveAvgPool2dSpec& spec) override;
  std::unique_ptr<BatchNorm2dPlan> make_batchnorm2d(const BatchNorm2dSpec& spec) override;
  std::unique_ptr<LrnPlan> make_lrn(const LrnSpec& spec) override;

  void fill_zero(StreamRef s, const Tensor& y) override;
  void convert(StreamRef s, const Tensor& x, const Tensor& y) override;
  void add(StreamRef s, const Tensor& a, const Tensor& b, const Tensor& y) override;
  void relu_forward(StreamRef s, const Tensor& x, const Tensor& y) override;
  void relu_backward(StreamRef s, const Tensor& y, const Tensor& dy, const Tensor& dx) override;
  void dropout(StreamRef s, const DropoutSpec& spec, const Tensor& x, const Tensor& state,
               const Tensor& y) override;
  void normalize_image(StreamRef s, const NormalizeSpec& spec, const Tensor& pixels,
                       const Tensor& y) override;
  void softmax_cross_entropy_forward(StreamRef s, const Tensor& logits, const Tensor& labels,
                                     const Tensor& loss, const Tensor& probability) override;
  void softmax_cross_entropy_backward(StreamRef s, const Tensor& probability, const Tensor& labels,
                                      const Tensor& dloss, const Tensor& dlogits) override;
  void halt_unless_finite(StreamRef s, const Tensor& x, const Tensor& state) override;
  void sgd_update(StreamRef s, const SgdSpec& spec, const Tensor& g, const Tensor& state,
                  const Tensor& v, const Tensor& w) override;

  // --- for the plans ---
  // The stream behind `s`, with this backend's device current in the calling thread.
  cudaStream_t enter(StreamRef s) const;
  // The same, and the handle's work goes to that stream.
  cudnnHandle_t cudnn(StreamRef s);
  cudnnHandle_t cudnn() const { return cudnn_.get(); }
  cublasLtHandle_t cublas() const { return cublas_.get(); }
  WeightCopies& copies() { return copies_; }
  // Number of the capture that is going on, or 0.
  uint64_t capture_number() const { return capturing_ ? captures_ : 0; }
  // The plan that a convolution runs: saved, the fastest, or cuDNN's first, as the options say. Throws Error 3020.
  CudnnPlan choose_engine(const Conv2dSpec& spec, PassKind pass);
  // Throws Error 3021 if the device does not compute in `type`.
  void require(DType type, const std::string& op) const;

 private:
  void activate() const;

  int index_;
  BackendOptions options_;
  DeviceInfo info_;
  DeviceAllocator allocator_;
  PinnedAllocator pinned_;
  WeightCopies copies_;
  CudnnHandle cudnn_;
  cudaStream_t cudnn_stream_ = nullptr;  // where its work goes
  CublasLtHandle cublas_;
  bool capturing_ = false;
  uint64_t captures_ = 0;
};

}  // namespace ft::cuda
