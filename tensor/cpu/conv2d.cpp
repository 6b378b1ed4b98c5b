// Convolution: three primitives of oneDNN, each with its own packed weights.
#include "tensor/ops/conv2d.h"

#include <algorithm>
#include <cstring>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::Border;
using cpu::Call;
using cpu::Md;

constexpr int kResidualArg = DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_SRC_1;

// Which forms of x and y a kernel is asked for; how a residual reaches it.
struct Choice {
  Layout x, y;
  bool sum;  // residual: true: it lies in y before; false: it is read from where it is
};

class CpuConv2d final : public Conv2dPlan {
 public:
  CpuConv2d(CpuBackend& backend, const Conv2dSpec& spec)
      : backend_(backend),
        spec_(spec),
        stride_{spec.stride_h, spec.stride_w},
        pad_{spec.pad_h, spec.pad_w} {
    const auto forward = make_forward();
    if (spec_.passes.backward_data) make_backward_data(forward);
    if (spec_.passes.backward_weights) make_backward_weights(forward);
  }

  const TensorSpec& y_spec() const override { return y_; }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  size_t kept_bytes() const override {
    return forward_w_.bytes() + (data_w_.same_form(forward_w_) ? 0 : data_w_.bytes());
  }
  std::string describe(PassKind pass) const override { return names_[static_cast<size_t>(pass)]; }

  void forward(StreamRef, const Tensor& x, const Weights& weights, const Tensor& residual,
               const Tensor& y, const Tensor& workspace) override;
  void backward_data(StreamRef, const Tensor& dy, const Weights& weights, const Tensor& dx,
                     const Tensor& workspace) override;
  void backward_weights(StreamRef, const Tensor& x, const Tensor& dy, const Tensor& dw,
                        const Tensor& db, const Tensor& workspace) override;

 private:
  using ForwardPd = dnnl::convolution_forward::primitive_desc;
  ForwardPd make_forward();
  void make_backward_data(const ForwardPd& hint);
  void make_backward_weights(const ForwardPd& hint);

  ForwardPd forward_pd(const Choice& choice) const;
  dnnl::memory::dims weight_dims() const;
  Md plain_weights() const { return cpu::plain_desc(weight_dims(), DType::f32); }
  Md any_weights(DType type) const { return cpu::any_desc(weight_dims(), type); }
  Md bias() const { return spec_.bias ? cpu::plain_desc({spec_.k}, DType::f32) : Md(); }
  Md x_desc(Layout layout) const { return cpu::desc_of({spec_.x.shape, spec_.x.dtype, layout}); }
  Md y_desc(Layout layout) const { return cpu::desc_of({spec_.y_shape(), spec_.x.dtype, layout}); }
  std::vector<Choice> forward_choices() const;
  std::vector<Choice> backward_choices() const;
  // Remembers the kernel's name and how much workspace the pass needs.
  void settle(PassKind pass, const std::string& impl, bool reorders, size_t bytes);

  CpuBackend& backend_;
  const Conv2dSpec spec_;
  const dnnl::memory::dims stride_, pad_;
  TensorSpec y_;
  size_t workspace_bytes_ = 0;
  std::string names_[3] = {"none", "none", "none"};

  struct Pass {
    Call call;
    Border border;  // of x or dx
    size_t scratch = 0;
  };
  Pass forward_, data_, weights_;
  cpu::PackedWeights forward_w_, data_w_;
  bool sum_ = false;
  Border dw_;
  size_t spare_dw_ = 0, spare_db_ = 0;  // for a gradient that nobody wants
};

// Grouped weights have the group as an axis of their own; in memory it is the same.
dnnl::memory::dims CpuConv2d::weight_dims() const {
  const Shape w = spec_.weight_shape();
  if (spec_.groups == 1) return cpu::dims_of(w);
  return {spec_.groups, w.n() / spec_.groups, w.c(), w.h(), w.w()};
}

// x as it comes is best; then x reordered to the blocked layout, or to the plain one, which kernels for few
// channels read; then all plain, for groups whose channels do not fill blocks. Reading a residual where it is
// saves a copy.
std::vector<Choice> CpuConv2d::forward_choices() const {
  const Layout blocked = backend_.blocked(), plain = Layout::plain;
  const std::pair<Layout, Layout> layouts[] = {
      {spec_.x.layout, blocked}, {blocked, blocked}, {plain, blocked}, {plain, plain}};
  std::vector<Choice> all;
  for (const auto& [x, y] : layouts) {
    all.push_back({x, y, false});
    if (spec_.add_residual) all.push_back({x, y, true});
  }
  return all;
}

std::vector<Choice> CpuConv2d::backward_choices() const {
  return {{spec_.x.layout, y_.layout, false},
          {backend_.blocked(), y_.layout, false},
          {Layout::plain, y_.layout, false}};
}

void CpuConv2d::settle(PassKind pass, const std::string& impl, bool reorders, size_t bytes) {
  names_[static_cast<size_t>(pass)] = impl + (reorders ? ", reorders" : "");
  workspace_bytes_ = std::max(workspace_bytes_, bytes);
}

CpuConv2d::ForwardPd CpuConv2d::forward_pd(const Choice& choice) const {
  dnnl::primitive_attr attr = cpu::base_attr();
  dnnl::post_ops ops;
  if (spec_.add_residual && choice.sum) ops.append_sum(1.f);
  if (spec_.add_residual && !choice.sum)
    ops.append_binary(dnnl::algorithm::binary_add, y_desc(choice.y));
  if (spec_.relu) cpu::append_relu(ops);
  attr.set_post_ops(ops);
  const auto kind = spec_.passes.any_backward() ? dnnl::prop_kind::forward_training
                                                : dnnl::prop_kind::forward_inference;
  return cpu::make_pd<dnnl::convolution_forward>(
      backend_.engine(), attr, kind, dnnl::algorithm::convolution_direct, x_desc(choice.x),
      any_weights(spec_.x.dtype), bias(), y_desc(choice.y), stride_, pad_, pad_);
}

CpuConv2d::ForwardPd CpuConv2d::make_forward() {
  const auto [pd, choice] =
      cpu::first_fast(forward_choices(), [&](const Choice& c) { return forward_pd(c); });
  y_ = {spec_.y_shape(), spec_.x.dtype, choice.y};
  sum_ = choice.sum;

  const dnnl::engine& e = backend_.engine();
  cpu::ScratchPlan scratch;
  forward_.border = Border::in(e, x_desc(spec_.x.layout), x_desc(choice.x), scratch);
  forward_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  forward_w_ = cpu::PackedWeights(backend_.packs(), e, plain_weights(), pd.weights_desc());
  const Md residual = spec_.add_residual && !sum_ ? pd.dst_desc() : Md();
  forward_.call = Call(e, dnnl::convolution_forward(pd),
                       {{DNNL_ARG_SRC, pd.src_desc()},
                        {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                        {DNNL_ARG_BIAS, bias()},
                        {kResidualArg, residual},
                        {DNNL_ARG_DST, pd.dst_desc()},
                        {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::forward, pd.impl_info_str(), bool(forward_.border), scratch.bytes());
  return pd;
}

void CpuConv2d::make_backward_data(const ForwardPd& hint) {
  const dnnl::engine& e = backend_.engine();
  const auto [pd, choice] = cpu::first_fast(backward_choices(), [&](const Choice& c) {
    return cpu::make_backward_pd<dnnl::convolution_backward_data>(
        e, cpu::base_attr(), hint, dnnl::algorithm::convolution_direct, x_desc(c.x),
        any_weights(spec_.x.dtype), y_desc(c.y), stride_, pad_, pad_);
  });
  cpu::ScratchPlan scratch;
  data_.border = Border::out(e, x_desc(choice.x), x_desc(spec_.x.layout), scratch);
  data_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  data_w_ = cpu::PackedWeights(backend_.packs(), e, plain_weights(), pd.weights_desc());
  data_.call = Call(e, dnnl::convolution_backward_data(pd),
                    {{DNNL_ARG_DIFF_DST, pd.diff_dst_desc()},
                     {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                     {DNNL_ARG_DIFF_SRC, pd.diff_src_desc()},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::backward_data, pd.impl_info_str(), bool(data_.border), scratch.bytes());
}

void CpuConv2d::make_backward_weights(const ForwardPd& hint) {
  const dnnl::engine& e = backend_.engine();
  const auto [pd, choice] = cpu::first_fast(backward_choices(), [&](const Choice& c) {
    return cpu::make_backward_pd<dnnl::convolution_backward_weights>(
        e, cpu::base_attr(), hint, dnnl::algorithm::convolution_direct, x_desc(c.x),
        any_weights(DType::f32), bias(), y_desc(c.y), stride_, pad_, pad_);
  });
  cpu::ScratchPlan scratch;
  weights_.border = Border::in(e, x_desc(spec_.x.layout), x_desc(choice.x), scratch);
  weights_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  dw_ = Border::out(e, pd.diff_weights_desc(), plain_weights(), scratch);
  if (!dw_) spare_dw_ = scratch.add(pd.diff_weights_desc().get_size());
  spare_db_ = scratch.add(bias().get_size());
  weights_.call = Call(e, dnnl::convolution_backward_weights(pd),
                       {{DNNL_ARG_SRC, pd.src_desc()},
                        {DNNL_ARG_DIFF_DST, pd.diff_dst_desc()},
                        {DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc()},
                        {DNNL_ARG_DIFF_BIAS, bias()},
                        {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::backward_weights, pd.impl_info_str(), bool(weights_.border), scratch.bytes());
}

void CpuConv2d::forward(StreamRef stream, const Tensor& x, const Weights& weights,
                        const Tensor& residual, const Tensor& y, const Tensor& workspace) {
  const dnnl::stream& s = backend_.stream();
  cpu::guard("conv2d forward", [&] {
    void* addend = nullptr;
    if (spec_.add_residual) {
      const bool elsewhere = residual.data() != y.data();
      if (elsewhere && (sum_ || residual.spec() != y_)) backend_.convert(stream, residual, y);
      addend = residual.spec() == y_ ? residual.data() : y.data();
    }
    forward_.call.run(s, {{DNNL_ARG_SRC, forward_.border.read(s, x.data(), workspace)},
                          {DNNL_ARG_WEIGHTS, forward_w_.get(s, weights.w, weights.version)},
                          {DNNL_ARG_BIAS, weights.b.data()},
                          {kResidualArg, addend},
                          {DNNL_ARG_DST, y.data()},
                          {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, forward_.scratch)}});
  });
}

void CpuConv2d::backward_data(StreamRef, const Tensor& dy, const Weights& weights, const Tensor& dx,
                              const Tensor& workspace) {
  const dnnl::stream& s = backend_.stream();
  cpu::guard("conv2d backward_data", [&] {
    data_.call.run(s, {{DNNL_ARG_DIFF_DST, dy.data()},
                       {DNNL_ARG_WEIGHTS, data_w_.get(s, weights.w, weights.version)},
                       {DNNL_ARG_DIFF_SRC, data_.border.target(dx.data(), workspace)},
                       {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, data_.scratch)}});
    data_.border.finish(s, dx.data(), workspace);
  });
}

void CpuConv2d::backward_weights(StreamRef, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                 const Tensor& db, const Tensor& workspace) {
  const dnnl::stream& s = backend_.stream();
  cpu::guard("conv2d backward_weights", [&] {
    void* dw_to = dw.empty() ? cpu::at(workspace, spare_dw_) : dw.data();
    void* db_to = db.empty() ? cpu::at(workspace, spare_db_) : db.data();
    weights_.call.run(s, {{DNNL_ARG_SRC, weights_.border.read(s, x.data(), workspace)},
                          {DNNL_ARG_DIFF_DST, dy.data()},
                          {DNNL_ARG_DIFF_WEIGHTS, dw_.target(dw_to, workspace)},
                          {DNNL_ARG_DIFF_BIAS, db_to},
                          {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, weights_.scratch)}});
    if (!dw.empty()) dw_.finish(s, dw.data(), workspace);
  });
}

}  // namespace

std::unique_ptr<Conv2dPlan> CpuBackend::make_conv2d(const Conv2dSpec& spec) {
  require(spec.x.dtype, "conv2d");
  return cpu::guard("conv2d", [&] { return std::make_unique<CpuConv2d>(*this, spec); });
}

}  // namespace ft
