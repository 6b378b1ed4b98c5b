// The CPU backend: oneDNN's primitives for convolution, matrix product, pooling and LRN, own
// vectorised loops for the rest, all on one OpenMP team. Activations of convolutions lie in
// oneDNN's blocked layout (16 channels with AVX-512, 8 without), images and parameters are plain.
// All work is done when a call returns; streams and events are empty shells. One thread at a time.
#pragma once

#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/cpu/dnnl_util.h"
#include "tensor/cpu/kernels.h"
#include "tensor/cpu/packed_weights.h"

namespace ft {

// The methods stand in the file of their op: make_conv2d in conv2d.cpp, add in pointwise.cpp.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options);

  Device device() const override { return {Device::Kind::cpu, 0}; }
  std::string describe() const override;

  Allocator& allocator() override { return allocator_; }
  std::unique_ptr<Stream> make_stream() override;
  std::unique_ptr<Event> make_event() override;
  void record(StreamRef, Event& event) override { static_cast<HostEvent&>(event).record(); }
  double seconds_between(const Event& begin, const Event& end) const override {
    return static_cast<const HostEvent&>(end).seconds_since(static_cast<const HostEvent&>(begin));
  }
  void wait(StreamRef, Event&) override {}
  void synchronize(StreamRef) override {}
  std::function<void()> capture(StreamRef s, std::function<void()> fn) override;
  void upload(StreamRef s, const void* host, const Tensor& dst) override;
  void download(StreamRef s, const Tensor& src, void* host) override;
  bool supports(DType compute) const override;
  CopyCost weight_copies() const override { return {packs_.seconds, packs_.bytes}; }

  std::unique_ptr<Conv2dPlan> make_conv2d(const Conv2dSpec& spec) override;
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

  // --- for the plans
  // ---------------------------------------------------------------------------------
  int threads() const { return threads_; }
  // oneDNN takes the team's size from the calling thread: both make sure that it is threads().
  const dnnl::engine& engine() const;
  const dnnl::stream& stream() const;
  cpu::PackCache& packs() { return packs_; }
  // Inner loops for this machine.
  const cpu::Kernels& kernels() const { return kernels_; }
  // How plans of own loops describe themselves: "loops:x86-64-v4".
  std::string kernels_name() const { return std::string("loops:") + kernels_.name; }
  // oneDNN's blocked layout on this machine.
  Layout blocked() const { return blocked_; }
  // Throws Error 3021 if the machine does not compute in `type`.
  void require(DType type, const std::string& op) const;

 private:
  // A conversion between layouts that was asked for before; plain ops have no plan to keep it in.
  struct Conversion {
    TensorSpec from, to;
    cpu::Call reorder;
  };
  void copy(const Tensor& x, const Tensor& y);
  cpu::Call& conversion(const TensorSpec& from, const TensorSpec& to);

  HostAllocator host_;
  CountingAllocator allocator_{host_};
  int threads_;
  dnnl::engine engine_;
  dnnl::stream stream_;
  const cpu::Kernels& kernels_;
  Layout blocked_;
  cpu::PackCache packs_;
  std::vector<std::unique_ptr<Conversion>> conversions_;
};

namespace cpu {

// The step state of kStepStateWords words; the rate is an f64 bit pattern.
inline StepState step_state(const Tensor& state) {
  const uint64_t* w = state.as<uint64_t>();
  return {w[0], w[1], w[2], std::bit_cast<double>(w[3]), w[4]};
}

}  // namespace cpu
}  // namespace ft
