// A backend that only plans: compile() can be run on it for a CUDA GPU that is not there, and it
// notes every convolution that was asked for. It has the layouts of the CUDA backend; nothing can
// be run on it.
#pragma once

#include <memory>
#include <vector>

#include "tensor/backend.h"

namespace ft::test {

class PlanningBackend final : public Backend {
 public:
  const std::vector<Conv2dSpec>& convolutions() const { return convolutions_; }

  Device device() const override { return {Device::Kind::cuda, 0}; }
  std::string describe() const override { return "plans only"; }
  Layout image_layout(DType compute) const override;
  Layout weight_layout() const override { return Layout::nhwc; }
  bool supports(DType) const override { return true; }

  std::unique_ptr<Conv2dPlan> make_conv2d(const Conv2dSpec& spec) override;
  std::unique_ptr<MatmulPlan> make_matmul(const MatmulSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_pool2d(const Pool2dSpec& spec) override;
  std::unique_ptr<Pool2dPlan> make_adaptive_avg_pool2d(const AdaptiveAvgPool2dSpec& spec) override;
  std::unique_ptr<BatchNorm2dPlan> make_batchnorm2d(const BatchNorm2dSpec& spec) override;
  std::unique_ptr<LrnPlan> make_lrn(const LrnSpec& spec) override;

  // Memory is the host's and is never used; the rest is not part of planning.
  Allocator& allocator() override { return allocator_; }
  std::unique_ptr<Stream> make_stream() override;
  std::unique_ptr<Event> make_event() override;
  double seconds_between(const Event&, const Event&) const override;
  void record(StreamRef, Event&) override;
  void wait(StreamRef, Event&) override;
  void synchronize(StreamRef) override;
  std::function<void()> capture(StreamRef, std::function<void()>) override;
  void upload(StreamRef, const void*, const Tensor&) override;
  void download(StreamRef, const Tensor&, void*) override;
  void fill_zero(StreamRef, const Tensor&) override;
  void convert(StreamRef, const Tensor&, const Tensor&) override;
  void add(StreamRef, const Tensor&, const Tensor&, const Tensor&) override;
  void relu_forward(StreamRef, const Tensor&, const Tensor&) override;
  void relu_backward(StreamRef, const Tensor&, const Tensor&, const Tensor&) override;
  void dropout(StreamRef, const DropoutSpec&, const Tensor&, const Tensor&, const Tensor&) override;
  void normalize_image(StreamRef, const NormalizeSpec&, const Tensor&, const Tensor&) override;
  void softmax_cross_entropy_forward(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                                     const Tensor&) override;
  void softmax_cross_entropy_backward(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                                      const Tensor&) override;
  void halt_unless_finite(StreamRef, const Tensor&, const Tensor&) override;
  void sgd_update(StreamRef, const SgdSpec&, const Tensor&, const Tensor&, const Tensor&,
                  const Tensor&) override;

 private:
  HostAllocator allocator_;
  std::vector<Conv2dSpec> convolutions_;
};

}  // namespace ft::test
