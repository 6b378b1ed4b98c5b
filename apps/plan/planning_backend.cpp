// Plans that know what they would need and do nothing.
#include "apps/plan/planning_backend.h"

#include <algorithm>
#include <array>

#include "tensor/cuda/layouts.h"
#include "tensor/cuda/sizes.h"

namespace ft::plan {
namespace {

using cuda::scratch_bytes;

// What all of them share: a spec of the output, and for each pass an algorithm and a workspace.
template <class Interface>
class Planned : public Interface {
 public:
  Planned(const TensorSpec& y, const char* algorithm, size_t workspace = 0) : y_(y) {
    passes_.fill({algorithm, workspace});
  }

  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind pass) const override { return of(pass).algorithm; }
  size_t workspace_bytes() const override {
    return std::ranges::max(passes_, {}, &PassPlan::workspace).workspace;
  }
  size_t pass_workspace(PassKind pass) const override { return of(pass).workspace; }

 protected:
  struct PassPlan {
    std::string algorithm = "none";
    size_t workspace = 0;
  };
  const PassPlan& of(PassKind pass) const { return passes_[static_cast<size_t>(pass)]; }
  void set(PassKind pass, const std::string& algorithm, size_t workspace) {
    passes_[static_cast<size_t>(pass)] = {algorithm, workspace};
  }

  TensorSpec y_;

 private:
  std::array<PassPlan, 3> passes_;
};

// As the plan of tensor/cuda/conv2d.cpp: a 16-bit dw, or one with padded channels, is made aside before it is converted.
class Conv final : public Planned<Conv2dPlan> {
 public:
  Conv(PlanningBackend& backend, const Conv2dSpec& s)
      : Planned({s.y_shape(), s.x.dtype, Layout::nhwc}, "none") {
    const size_t w_copy = cuda::copy_bytes({s.weight_shape(), s.x.dtype, s.x.layout}, Layout::nhwc);
    kept_bytes_ = w_copy;
    if (s.bias) kept_bytes_ += cuda::copy_bytes({{s.k}, s.x.dtype, Layout::plain}, Layout::plain);
    backend.keep(kept_bytes_);
    const auto prepare = [&](PassKind pass, size_t own_bytes, size_t least) {
      const Engine engine = backend.engine(s, pass);
      set(pass, engine.refused() ? "none: cuDNN has no engine" : engine.name,
          std::max(least, scratch_bytes({own_bytes, engine.workspace})));
    };
    prepare(PassKind::forward, 0, 0);
    if (s.passes.backward_data) prepare(PassKind::backward_data, 0, 0);
    if (!s.passes.backward_weights) return;
    const int64_t rows = y_.shape.n() * y_.shape.h() * y_.shape.w();
    prepare(PassKind::backward_weights, w_copy, s.bias ? cuda::column_sum_bytes(rows, s.k) : 0);
  }

  size_t kept_bytes() const override { return kept_bytes_; }
  void forward(StreamRef, const Tensor&, const Weights&, const Tensor&, const Tensor&,
               const Tensor&) override {}
  void backward_data(StreamRef, const Tensor&, const Weights&, const Tensor&,
                     const Tensor&) override {}
  void backward_weights(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                        const Tensor&) override {}

 private:
  size_t kept_bytes_ = 0;
};

// cuBLASLt says nothing without a device: its algorithm is open, and its workspace is taken to be all that it may be.
class Matmul final : public Planned<MatmulPlan> {
 public:
  Matmul(PlanningBackend& backend, const MatmulSpec& s)
      : Planned({s.y_shape(), s.y_dtype, Layout::plain}, "none") {
    const DType type = s.x.dtype;
    kept_bytes_ = cuda::copy_bytes({s.weight_shape(), type, Layout::plain}, Layout::plain);
    if (s.bias) kept_bytes_ += cuda::copy_bytes({{s.out}, s.y_dtype, Layout::plain}, Layout::plain);
    backend.keep(kept_bytes_);
    const size_t x_copy = cuda::form_bytes(s.x, {s.x.shape, type, Layout::plain}),
                 dy_copy = cuda::form_bytes(y_, {y_.shape, type, Layout::plain});
    const auto prepare = [&](PassKind pass, size_t copy, size_t other) {
      set(pass, "cublaslt: algorithm chosen on the device",
          scratch_bytes({copy, other, cuda::kProductWorkspace}));
    };
    prepare(PassKind::forward, x_copy, 0);
    if (s.passes.backward_data) prepare(PassKind::backward_data, dy_copy, x_copy);
    if (s.passes.backward_weights) prepare(PassKind::backward_weights, x_copy, dy_copy);
  }

  size_t kept_bytes() const override { return kept_bytes_; }
  void forward(StreamRef, const Tensor&, const Weights&, const Tensor&, const Tensor&) override {}
  void backward_data(StreamRef, const Tensor&, const Weights&, const Tensor&,
                     const Tensor&) override {}
  void backward_weights(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                        const Tensor&) override {}

 private:
  size_t kept_bytes_ = 0;
};

class Pool final : public Planned<Pool2dPlan> {
 public:
  Pool(const TensorSpec& x, const Shape& y, bool max, bool backward)
      : Planned({y, x.dtype, Layout::nhwc}, max ? "cuda:max_pool" : "cuda:average_pool"),
        aux_bytes_(max && backward ? cuda::max_pool_aux_bytes(y) : 0) {}

  size_t aux_bytes() const override { return aux_bytes_; }
  void forward(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void backward_data(StreamRef, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&) override {}

 private:
  size_t aux_bytes_;
};

class BatchNorm final : public Planned<BatchNorm2dPlan> {
 public:
  explicit BatchNorm(const BatchNorm2dSpec& s)
      : Planned(s.x, "cuda:batchnorm2d", cuda::workspace_bytes(s)),
        aux_bytes_(cuda::aux_bytes(s)) {}

  size_t aux_bytes() const override { return aux_bytes_; }
  void forward(StreamRef, const Tensor&, const Tensor&, const BatchNormParams&, const Tensor&,
               const Tensor&, const Tensor&) override {}
  void backward(StreamRef, const Tensor&, const Tensor&, const BatchNormParams&, const Tensor&,
                const BatchNormGradients&, const Tensor&) override {}

 private:
  size_t aux_bytes_;
};

class Lrn final : public Planned<LrnPlan> {
 public:
  explicit Lrn(const LrnSpec& s) : Planned(s.x, "cuda:lrn") {}
  void forward(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&) override {}
  void backward_data(StreamRef, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                     const Tensor&) override {}
};

class NoStream final : public Stream {
 public:
  StreamRef ref() const override { return StreamRef(nullptr); }
};

}  // namespace

size_t convolution_workspace_limit() { return cuda::kConvolutionWorkspace; }

void* AddressAllocator::allocate(size_t bytes) {
  if (bytes == 0) return nullptr;
  bytes_now_ += bytes;
  const uintptr_t at = next_;
  next_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
  return reinterpret_cast<void*>(at);
}

void AddressAllocator::release(void* block, size_t bytes) noexcept {
  if (block != nullptr) bytes_now_ -= bytes;
}

Layout PlanningBackend::image_layout(DType compute) const { return cuda::image_layout(compute); }

bool PlanningBackend::supports(DType compute) const {
  return compute == DType::f32 || (compute == DType::bf16 && options_.has_bf16);
}

Engine PlanningBackend::engine(const Conv2dSpec& spec, PassKind pass) {
  if (options_.engines == nullptr) return {"unknown", options_.workspace, true, {}, {}, {}};
  const Engine engine = options_.engines->find(spec, pass);
  if (engine.refused() && std::ranges::find(refusals_, engine.refusal) == refusals_.end())
    refusals_.push_back(engine.refusal);
  return engine;
}

std::unique_ptr<Conv2dPlan> PlanningBackend::make_conv2d(const Conv2dSpec& spec) {
  convolutions_.push_back(spec);
  return std::make_unique<Conv>(*this, spec);
}
std::unique_ptr<MatmulPlan> PlanningBackend::make_matmul(const MatmulSpec& spec) {
  return std::make_unique<Matmul>(*this, spec);
}
std::unique_ptr<Pool2dPlan> PlanningBackend::make_pool2d(const Pool2dSpec& s) {
  return std::make_unique<Pool>(s.x, s.y_shape(), s.kind == Pool2dSpec::Kind::max,
                                s.passes.backward_data);
}
std::unique_ptr<Pool2dPlan> PlanningBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& s) {
  return std::make_unique<Pool>(s.x, s.y_shape(), false, s.passes.backward_data);
}
std::unique_ptr<BatchNorm2dPlan> PlanningBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  return std::make_unique<BatchNorm>(spec);
}
std::unique_ptr<LrnPlan> PlanningBackend::make_lrn(const LrnSpec& spec) {
  return std::make_unique<Lrn>(spec);
}

std::unique_ptr<Stream> PlanningBackend::make_stream() { return std::make_unique<NoStream>(); }

}  // namespace ft::plan
