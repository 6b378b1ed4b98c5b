// The reference backend: every op as plain loops over its definition. Students read it as the
// definition and tests take it as the judge, so it is written to be checked by eye, not to be fast.
// Elements are f32 or f64 (f64 for gradient checks) in plain layout; every sum is accumulated in
// double. Its memory is the host's and all work is done when a call returns. One thread at a time.
#pragma once

#include <memory>
#include <string>

#include "tensor/backend.h"

namespace ft {

// The methods stand in the file of their op: make_conv2d in conv2d.cpp, add in pointwise.cpp.
class RefBackend final : public Backend {
 public:
  Device device() const override { return {Device::Kind::ref, 0}; }
  std::string describe() const override { return "ref (plain loops, one thread)"; }

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

 private:
  HostAllocator allocator_;
};

namespace ref {

// Elements of a plain tensor by logical index, x(n,c,h,w) or w(k,c,r,s). An empty tensor gives an
// empty view; a tensor of another size than `shape` is a programming error. Owns nothing.
template <class T>
class View {
 public:
  View(const Tensor& t, const Shape& shape)
      : data_(t.empty() ? nullptr : t.as<T>()), c_(shape.c()), h_(shape.h()), w_(shape.w()) {
    FT_CHECK(
        t.empty() || (t.spec().layout == Layout::plain && t.shape().elements() == shape.elements()),
        "ref got " + t.spec().str() + ", expected plain " + shape.str());
  }
  explicit operator bool() const { return data_ != nullptr; }
  T& operator()(int64_t n, int64_t c = 0, int64_t h = 0, int64_t w = 0) const {
    return data_[((n * c_ + c) * h_ + h) * w_ + w];
  }

 private:
  T* data_;
  int64_t c_, h_, w_;
};

// Calls fn(n, c, h, w) for every logical index of `shape`, in row-major order.
template <class Fn>
void for_each(const Shape& shape, Fn&& fn) {
  for (int64_t n = 0; n < shape.n(); ++n)
    for (int64_t c = 0; c < shape.c(); ++c)
      for (int64_t h = 0; h < shape.h(); ++h)
        for (int64_t w = 0; w < shape.w(); ++w) fn(n, c, h, w);
}

// Sum of term(n, h, w) over the samples, rows and columns of `shape`: what one channel adds up to.
template <class Fn>
double sum_over_channel(const Shape& shape, Fn&& term) {
  double sum = 0;
  for (int64_t n = 0; n < shape.n(); ++n)
    for (int64_t h = 0; h < shape.h(); ++h)
      for (int64_t w = 0; w < shape.w(); ++w) sum += term(n, h, w);
  return sum;
}

// What all reference plans of an interface share.
template <class Interface>
class RefPlan : public Interface {
 public:
  explicit RefPlan(const TensorSpec& y) : y_(y) {}
  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind) const override { return "ref"; }

 protected:
  TensorSpec y_;
};

// Calls fn(double{}) for f64 and fn(float{}) for f32; nothing else computes here.
template <class Fn>
auto with_scalar(DType type, Fn&& fn) {
  FT_CHECK(type == DType::f64 || type == DType::f32, "ref computes in f32 and f64 only");
  return type == DType::f64 ? fn(double{}) : fn(float{});
}

// A plan for f32 or f64, as the input says.
template <class Interface, template <class> class PlanOf, class Spec>
std::unique_ptr<Interface> make_plan(const Spec& spec) {
  FT_CHECK(spec.x.layout == Layout::plain, "ref plans take plain layouts, got " + spec.x.str());
  return with_scalar(spec.x.dtype, [&](auto scalar) -> std::unique_ptr<Interface> {
    return std::make_unique<PlanOf<decltype(scalar)>>(spec);
  });
}

// max(0, v); not-a-number stays what it is, so that a broken step is seen in the loss.
inline double relu(double v) { return v <= 0 ? 0 : v; }

}  // namespace ref
}  // namespace ft
