#include "tests/cuda_plans/planning_backend.h"

#include "tensor/cuda/layouts.h"

namespace ft::test {
namespace {

[[noreturn]] void not_planning() {
  check_failed(__FILE__, __LINE__, "planning", "this backend only plans");
}

// A plan that knows the spec of its output and nothing else.
template <class Interface>
class SpecOnly : public Interface {
 public:
  explicit SpecOnly(const TensorSpec& y) : y_(y) {}
  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind) const override { return "planned"; }

 private:
  TensorSpec y_;
};

struct Conv final : SpecOnly<Conv2dPlan> {
  using SpecOnly::SpecOnly;
  void forward(StreamRef, const Tensor&, const Weights&, const Tensor&, const Tensor&,
               const Tensor&) override {
    not_planning();
  }
  void backward_data(StreamRef, const Tensor&, const Weights&, const Tensor&,
                     const Tensor&) override {
    not_planning();
  }
  void backward_weights(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                        const Tensor&) override {
    not_planning();
  }
};

struct Matmul final : SpecOnly<MatmulPlan> {
  using SpecOnly::SpecOnly;
  void forward(StreamRef, const Tensor&, const Weights&, const Tensor&, const Tensor&) override {
    not_planning();
  }
  void backward_data(StreamRef, const Tensor&, const Weights&, const Tensor&,
                     const Tensor&) override {
    not_planning();
  }
  void backward_weights(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                        const Tensor&) override {
    not_planning();
  }
};

struct Pool final : SpecOnly<Pool2dPlan> {
  using SpecOnly::SpecOnly;
  void forward(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {
    not_planning();
  }
  void backward_data(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&) override {
    not_planning();
  }
};

struct BatchNorm final : SpecOnly<BatchNorm2dPlan> {
  using SpecOnly::SpecOnly;
  void forward(StreamRef, const Tensor&, const Tensor&, const BatchNormParams&, const Tensor&,
               const Tensor&, const Tensor&) override {
    not_planning();
  }
  void backward(StreamRef, const Tensor&, const Tensor&, const BatchNormParams&, const Tensor&,
                const BatchNormGradients&, const Tensor&) override {
    not_planning();
  }
};

struct Lrn final : SpecOnly<LrnPlan> {
  using SpecOnly::SpecOnly;
  void forward(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {
    not_planning();
  }
  void backward_data(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&) override {
    not_planning();
  }
};

TensorSpec nhwc(const Shape& shape, DType type) { return {shape, type, Layout::nhwc}; }

}  // namespace

Layout PlanningBackend::image_layout(DType compute) const { return cuda::image_layout(compute); }

std::unique_ptr<Conv2dPlan> PlanningBackend::make_conv2d(const Conv2dSpec& spec) {
  convolutions_.push_back(spec);
  return std::make_unique<Conv>(nhwc(spec.y_shape(), spec.x.dtype));
}
std::unique_ptr<MatmulPlan> PlanningBackend::make_matmul(const MatmulSpec& spec) {
  return std::make_unique<Matmul>(TensorSpec{spec.y_shape(), spec.y_dtype, Layout::plain});
}
std::unique_ptr<Pool2dPlan> PlanningBackend::make_pool2d(const Pool2dSpec& spec) {
  return std::make_unique<Pool>(nhwc(spec.y_shape(), spec.x.dtype));
}
std::unique_ptr<Pool2dPlan> PlanningBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& spec) {
  return std::make_unique<Pool>(nhwc(spec.y_shape(), spec.x.dtype));
}
std::unique_ptr<BatchNorm2dPlan> PlanningBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  return std::make_unique<BatchNorm>(spec.x);
}
std::unique_ptr<LrnPlan> PlanningBackend::make_lrn(const LrnSpec& spec) {
  return std::make_unique<Lrn>(spec.x);
}

std::unique_ptr<Stream> PlanningBackend::make_stream() { not_planning(); }
std::unique_ptr<Event> PlanningBackend::make_event() { not_planning(); }
double PlanningBackend::seconds_between(const Event&, const Event&) const { not_planning(); }
void PlanningBackend::record(StreamRef, Event&) { not_planning(); }
void PlanningBackend::wait(StreamRef, Event&) { not_planning(); }
void PlanningBackend::synchronize(StreamRef) { not_planning(); }
std::function<void()> PlanningBackend::capture(StreamRef, std::function<void()>) { not_planning(); }
void PlanningBackend::upload(StreamRef, const void*, const Tensor&) { not_planning(); }
void PlanningBackend::download(StreamRef, const Tensor&, void*) { not_planning(); }
void PlanningBackend::fill_zero(StreamRef, const Tensor&) { not_planning(); }
void PlanningBackend::convert(StreamRef, const Tensor&, const Tensor&) { not_planning(); }
void PlanningBackend::add(StreamRef, const Tensor&, const Tensor&, const Tensor&) {
  not_planning();
}
void PlanningBackend::relu_forward(StreamRef, const Tensor&, const Tensor&) { not_planning(); }
void PlanningBackend::relu_backward(StreamRef, const Tensor&, const Tensor&, const Tensor&) {
  not_planning();
}
void PlanningBackend::dropout(StreamRef, const DropoutSpec&, const Tensor&, const Tensor&,
                              const Tensor&) {
  not_planning();
}
void PlanningBackend::normalize_image(StreamRef, const NormalizeSpec&, const Tensor&,
                                      const Tensor&) {
  not_planning();
}
void PlanningBackend::softmax_cross_entropy_forward(StreamRef, const Tensor&, const Tensor&,
                                                    const Tensor&, const Tensor&) {
  not_planning();
}
void PlanningBackend::softmax_cross_entropy_backward(StreamRef, const Tensor&, const Tensor&,
                                                     const Tensor&, const Tensor&) {
  not_planning();
}
void PlanningBackend::halt_unless_finite(StreamRef, const Tensor&, const Tensor&) {
  not_planning();
}
void PlanningBackend::sgd_update(StreamRef, const SgdSpec&, const Tensor&, const Tensor&,
                                 const Tensor&, const Tensor&) {
  not_planning();
}

}  // namespace ft::test
