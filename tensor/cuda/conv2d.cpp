// Convolution: three cuDNN plans, one a pass, and the column sum for the gradient of the bias.
#include "tensor/ops/conv2d.h"

#include <algorithm>
#include <optional>

#include "tensor/cuda/conv2d_graph.h"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/kernels.h"
#include "tensor/cuda/sizes.h"

namespace ft::cuda {
namespace {

class CudaConv2d final : public Conv2dPlan {
 public:
  // Without a plan for any pass.
  CudaConv2d(CudaBackend& backend, const Conv2dSpec& spec);
  void add(PassKind pass, CudnnPlan plan);

  const TensorSpec& y_spec() const override { return y_; }
  size_t workspace_bytes() const override { return std::ranges::max(workspace_bytes_); }
  size_t pass_workspace(PassKind pass) const override {
    return workspace_bytes_[static_cast<size_t>(pass)];
  }
  size_t kept_bytes() const override;
  std::string describe(PassKind pass) const override;
  bool deterministic(PassKind pass) const override {
    return plans_[static_cast<size_t>(pass)]->deterministic();
  }

  void forward(StreamRef s, const Tensor& x, const Weights& weights, const Tensor& residual,
               const Tensor& y, const Tensor& workspace) override;
  void backward_data(StreamRef s, const Tensor& dy, const Weights& weights, const Tensor& dx,
                     const Tensor& workspace) override;
  void backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                        const Tensor& db, const Tensor& workspace) override;

 private:
  std::optional<CudnnPlan>& plan(PassKind pass) { return plans_[static_cast<size_t>(pass)]; }
  // Runs the plan of a pass with the workspace that it wants out of `scratch`.
  void run(StreamRef s, PassKind pass, std::span<void* const> data, Scratch& scratch);
  int64_t rows() const { return y_.shape.n() * y_.shape.h() * y_.shape.w(); }

  CudaBackend& backend_;
  const Conv2dSpec spec_;
  TensorSpec y_, w_, b_;  // w_, b_: as the plans read them
  std::optional<CudnnPlan> plans_[3];
  WeightReader w_reader_, b_reader_;
  std::array<size_t, 3> workspace_bytes_{};  // of the passes
};

CudaConv2d::CudaConv2d(CudaBackend& backend, const Conv2dSpec& spec)
    : backend_(backend),
      spec_(spec),
      y_{spec.y_shape(), spec.x.dtype, Layout::nhwc},
      w_{spec.weight_shape(), spec.x.dtype, spec.x.layout},
      b_{{spec.k}, bias_dtype(spec), Layout::plain},
      w_reader_(backend.copies(), w_, spec.passes.backward_weights),
      b_reader_(backend.copies(), b_, spec.passes.backward_weights) {
  backend.require(spec.x.dtype, "conv2d");
}

void CudaConv2d::add(PassKind pass, CudnnPlan plan) {
  const bool weights = pass == PassKind::backward_weights;
  const size_t made = weights ? w_reader_.copy_bytes(Layout::nhwc) : 0;  // before it is converted
  workspace_bytes_[static_cast<size_t>(pass)] =
      std::max(weights && spec_.bias ? column_sum_bytes(rows(), spec_.k) : 0,
               scratch_bytes({made, plan.workspace_bytes()}));
  plans_[static_cast<size_t>(pass)] = std::move(plan);
}

size_t CudaConv2d::kept_bytes() const {
  return w_reader_.copy_bytes(Layout::nhwc) +
         (spec_.bias ? b_reader_.copy_bytes(Layout::plain) : 0);
}

std::string CudaConv2d::describe(PassKind pass) const {
  const auto& plan = plans_[static_cast<size_t>(pass)];
  return plan ? plan->describe() : "none";
}

void CudaConv2d::run(StreamRef s, PassKind pass, std::span<void* const> data, Scratch& scratch) {
  FT_CHECK(plan(pass).has_value(), "a convolution runs a pass that its plan was not made for");
  plan(pass)->execute(backend_.cudnn(s), data, scratch.take(plan(pass)->workspace_bytes()));
}

void CudaConv2d::forward(StreamRef s, const Tensor& x, const Weights& weights,
                         const Tensor& residual, const Tensor& y, const Tensor& workspace) {
  FT_CHECK(x.spec() == spec_.x && y.spec() == y_ && residual.empty() != spec_.add_residual,
           "conv2d runs on other tensors than it was planned for");
  const cudaStream_t stream = backend_.enter(s);
  const uint64_t capture = backend_.capture_number();
  std::array<void*, 5> data{x.data(), w_reader_.get(stream, weights.w, weights.version, capture)};
  size_t count = 2;
  if (spec_.add_residual) data[count++] = residual.data();
  if (spec_.bias) data[count++] = b_reader_.get(stream, weights.b, weights.version, capture);
  data[count++] = y.data();
  Scratch scratch(workspace);
  run(s, PassKind::forward, std::span(data).first(count), scratch);
}

void CudaConv2d::backward_data(StreamRef s, const Tensor& dy, const Weights& weights,
                               const Tensor& dx, const Tensor& workspace) {
  FT_CHECK(dy.spec() == y_ && dx.spec() == spec_.x,
           "conv2d runs on other tensors than it was planned for");
  void* w = w_reader_.get(backend_.enter(s), weights.w, weights.version, backend_.capture_number());
  Scratch scratch(workspace);
  run(s, PassKind::backward_data, std::array{w, dy.data(), dx.data()}, scratch);
}

// cuDNN has no engine that reads 16 bits and writes f32, so a 16-bit dw is made and then converted; the same step
// takes the padding of channels away.
void CudaConv2d::backward_weights(StreamRef s, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                  const Tensor& db, const Tensor& workspace) {
  FT_CHECK(x.spec() == spec_.x && dy.spec() == y_,
           "conv2d runs on other tensors than it was planned for");
  const cudaStream_t stream = backend_.enter(s);
  if (!db.empty())
    column_sum(stream, dy.spec().dtype, dy.data(), rows(), spec_.k, db.as<float>(),
               workspace.data());
  if (dw.empty()) return;
  Scratch scratch(workspace);
  const bool direct = dw.spec() == w_;
  const Tensor made = direct ? dw : Tensor(w_, scratch.take(w_.bytes()));
  run(s, PassKind::backward_weights, std::array{x.data(), dy.data(), made.data()}, scratch);
  if (!direct) convert(stream, made, dw);
}

}  // namespace

std::unique_ptr<Conv2dPlan> CudaBackend::make_conv2d(const Conv2dSpec& spec) {
  check_spec(spec, "conv2d");
  activate();
  auto plan = std::make_unique<CudaConv2d>(*this, spec);
  const auto add = [&](PassKind pass) { plan->add(pass, choose_engine(spec, pass)); };
  add(PassKind::forward);
  if (spec.passes.backward_data) add(PassKind::backward_data);
  if (spec.passes.backward_weights) add(PassKind::backward_weights);
  return plan;
}

std::vector<std::unique_ptr<Conv2dPlan>> CudaBackend::make_conv2d_engines(const Conv2dSpec& spec,
                                                                          PassKind pass) {
  check_spec(spec, "conv2d");
  activate();
  const EngineRules any{false, true, true, free_bytes() / 2};
  std::vector<std::unique_ptr<Conv2dPlan>> plans;
  const GraphBuilder builder = conv2d_graph(spec, pass);
  const PlanTarget target(cudnn());
  for (CudnnPlan& plan : all_plans(target, builder.finish(target), any)) {
    auto conv = std::make_unique<CudaConv2d>(*this, spec);
    conv->add(pass, std::move(plan));
    plans.push_back(std::move(conv));
  }
  return plans;
}

}  // namespace ft::cuda
