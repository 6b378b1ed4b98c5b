// A backend that plans as the CUDA backend does, for a GPU that is not there: compile() and an executor run on it, with
// the same layouts, engines, workspaces and sizes, but nothing is computed, and no memory is behind its addresses.
// Used by one thread.
#pragma once

#include <memory>
#include <vector>

#include "apps/plan/engines.h"
#include "tensor/backend.h"

namespace ft::plan {

struct PlanningOptions {
  EngineFinder* engines =
      nullptr;  // nobody: engines are unknown, and a convolution takes `workspace`
  size_t workspace = 0;
  bool has_bf16 = true;
};

// The most workspace that a convolution takes on CUDA.
size_t convolution_workspace_limit();

// Counts what is asked for, and hands out addresses at which nothing is.
class AddressAllocator final : public Allocator {
 public:
  void* allocate(size_t bytes) override;
  void release(void* block, size_t bytes) noexcept override;
  size_t bytes_now() const { return bytes_now_; }

 private:
  uintptr_t next_ = uintptr_t{1} << 32;
  size_t bytes_now_ = 0;
};

class PlanningBackend final : public Backend {
 public:
  explicit PlanningBackend(const PlanningOptions& options = {}) : options_(options) {}

  // Every convolution that a plan was made for, in this order.
  const std::vector<Conv2dSpec>& convolutions() const { return convolutions_; }
  // What cuDNN has no engine for, each once, in its words.
  const std::vector<std::string>& refusals() const { return refusals_; }
  // Copies of weights that plans keep, in 16 bits or with padded channels.
  size_t kept_bytes() const { return kept_bytes_; }
  size_t allocated_bytes() const { return allocator_.bytes_now(); }

  // For plans.
  Engine engine(const Conv2dSpec& spec, PassKind pass);
  void keep(size_t bytes) { kept_bytes_ += bytes; }

  Device device() const override { return {Device::Kind::cuda, 0}; }
  std::string describe() const override { return "a GPU that is not there"; }
  Layout image_layout(DType compute) const override;
  Layout weight_layout() const override { return Layout::nhwc; }
  bool supports(DType compute) const override;

  std::unique_ptr<Conv2dPlan> make_conv2d(const Conv2dSpec& spec) override;
  std::unique_ptr<MatmulPlan> make_matmul(const MatmulSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_pool2d(const Pool2dSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_adaptive_avg_pool2d(const AdaptiveAvgPool2dSpec& spec) override;
  std::unique_ptr<BatchNorm2dPlan> make_batchnorm2d(const BatchNorm2dSpec& spec) override;
  std::unique_ptr<LrnPlan> make_lrn(const LrnSpec& spec) override;

  Allocator& allocator() override { return allocator_; }
  Allocator& host_allocator() override { return allocator_; }
  std::unique_ptr<Stream> make_stream() override;
  std::unique_ptr<Event> make_event() override { return std::make_unique<HostEvent>(); }
  double seconds_between(const Event&, const Event&) const override { return 0; }
  void record(StreamRef, Event&) override {}
  void wait(StreamRef, Event&) override {}
  void synchronize(StreamRef) override {}
  std::function<void()> capture(StreamRef, std::function<void()> fn) override { return fn; }

  // Nothing is computed; a download leaves the host's bytes as they are.
  void upload(StreamRef, const void*, const Tensor&) override {}
  void download(StreamRef, const Tensor&, void*) override {}
  void fill_zero(StreamRef, const Tensor&) override {}
  void convert(StreamRef, const Tensor&, const Tensor&) override {}
  void add(StreamRef, const Tensor&, const Tensor&, const Tensor&) override {}
  void relu_forward(StreamRef, const Tensor&, const Tensor&) override {}
  void relu_backward(StreamRef, const Tensor&, const Tensor&, const Tensor&) override {}
  void dropout(StreamRef, const DropoutSpec&, const Tensor&, const Tensor&,
               const Tensor&) override {}
  void normalize_image(StreamRef, const NormalizeSpec&, const Tensor&, const Tensor&) override {}
  void softmax_cross_entropy_forward(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&) override {}
  void softmax_cross_entropy_backward(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                                      const Tensor&) override {}
  void halt_unless_finite(StreamRef, const Tensor&, const Tensor&) override {}
  void sgd_update(StreamRef, const SgdSpec&, const Tensor&, const Tensor&, const Tensor&,
                  const Tensor&) override {}

 private:
  PlanningOptions options_;
  AddressAllocator allocator_;
  std::vector<Conv2dSpec> convolutions_;
  std::vector<std::string> refusals_;
  size_t kept_bytes_ = 0;
};

}  // namespace ft::plan
