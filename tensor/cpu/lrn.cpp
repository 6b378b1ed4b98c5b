// Local response normalisation by oneDNN. It divides alpha by the window, too.
#include "tensor/ops/lrn.h"

#include <algorithm>

#include "tensor/cpu/cpu.h"

namespace ft {
namespace {

using cpu::Border;
using cpu::Call;
using cpu::Md;

// y lies as x does. Where oneDNN has no fast kernel for that layout, both go through the blocked
// one.
class CpuLrn final : public LrnPlan {
 public:
  CpuLrn(CpuBackend& backend, const LrnSpec& spec) : backend_(backend), spec_(spec) { make(); }
  const TensorSpec& y_spec() const override { return spec_.x; }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  size_t aux_bytes() const override { return aux_bytes_; }
  std::string describe(PassKind pass) const override {
    return pass == PassKind::forward ? forward_.name : data_.name;
  }

  void forward(StreamRef, const Tensor& x, const Tensor& y, const Tensor& aux,
               const Tensor& workspace) override {
    const dnnl::stream& s = backend_.stream();
    cpu::guard("lrn forward", [&] {
      forward_.call.run(s, {{DNNL_ARG_SRC, forward_.x.read(s, x.data(), workspace)},
                            {DNNL_ARG_DST, forward_.out.target(y.data(), workspace)},
                            {DNNL_ARG_WORKSPACE, aux.data()},
                            {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, forward_.scratch)}});
      forward_.out.finish(s, y.data(), workspace);
    });
  }
  void backward_data(StreamRef, const Tensor& x, const Tensor& dy, const Tensor& aux,
                     const Tensor& dx, const Tensor& workspace) override {
    const dnnl::stream& s = backend_.stream();
    cpu::guard("lrn backward_data", [&] {
      data_.call.run(s, {{DNNL_ARG_SRC, data_.x.read(s, x.data(), workspace)},
                         {DNNL_ARG_DIFF_DST, data_.dy.read(s, dy.data(), workspace)},
                         {DNNL_ARG_DIFF_SRC, data_.out.target(dx.data(), workspace)},
                         {DNNL_ARG_WORKSPACE, aux.data()},
                         {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, data_.scratch)}});
      data_.out.finish(s, dx.data(), workspace);
    });
  }

 private:
  using ForwardPd = dnnl::lrn_forward::primitive_desc;
  using BackwardPd = dnnl::lrn_backward::primitive_desc;
  void make();
  void make_backward(const ForwardPd& forward, const Md& own, const Md& kernel);
  ForwardPd forward_pd(const Md& x) const;
  BackwardPd backward_pd(const ForwardPd& hint, const Md& x) const;

  CpuBackend& backend_;
  const LrnSpec spec_;
  size_t workspace_bytes_ = 0, aux_bytes_ = 0;

  struct Pass {
    Call call;
    Border x, dy, out;
    size_t scratch = 0;
    std::string name = "none";
  };
  Pass forward_, data_;
};

CpuLrn::ForwardPd CpuLrn::forward_pd(const Md& x) const {
  const auto kind = spec_.passes.backward_data ? dnnl::prop_kind::forward_training
                                               : dnnl::prop_kind::forward_inference;
  const auto alpha = static_cast<float>(spec_.alpha), beta = static_cast<float>(spec_.beta),
             k = static_cast<float>(spec_.k);
#if DNNL_VERSION_MAJOR >= 3
  return cpu::make_pd<dnnl::lrn_forward>(backend_.engine(), cpu::base_attr(), kind,
                                         dnnl::algorithm::lrn_across_channels, x, x, spec_.size,
                                         alpha, beta, k);
#else
  return cpu::make_pd<dnnl::lrn_forward>(backend_.engine(), cpu::base_attr(), kind,
                                         dnnl::algorithm::lrn_across_channels, x, spec_.size, alpha,
                                         beta, k);
#endif
}

CpuLrn::BackwardPd CpuLrn::backward_pd(const ForwardPd& hint, const Md& x) const {
  const auto alpha = static_cast<float>(spec_.alpha), beta = static_cast<float>(spec_.beta),
             k = static_cast<float>(spec_.k);
#if DNNL_VERSION_MAJOR >= 3
  return cpu::make_backward_pd<dnnl::lrn_backward>(backend_.engine(), cpu::base_attr(), hint,
                                                   dnnl::algorithm::lrn_across_channels, x, x, x,
                                                   spec_.size, alpha, beta, k);
#else
  return cpu::make_backward_pd<dnnl::lrn_backward>(backend_.engine(), cpu::base_attr(), hint,
                                                   dnnl::algorithm::lrn_across_channels, x, x,
                                                   spec_.size, alpha, beta, k);
#endif
}

void CpuLrn::make() {
  const dnnl::engine& e = backend_.engine();
  const Md own = cpu::desc_of(spec_.x);
  const Md blocked = cpu::desc_of({spec_.x.shape, spec_.x.dtype, backend_.blocked()});
  const auto [pd, kernel] = cpu::first_fast(std::vector<Md>{own, blocked}, [&](const Md& x) {
    const ForwardPd forward = forward_pd(x);
    if (spec_.passes.backward_data)
      backward_pd(forward, x);  // both passes have a kernel or neither
    return forward;
  });
  cpu::ScratchPlan scratch;
  forward_.x = Border::in(e, own, kernel, scratch);
  forward_.out = Border::out(e, kernel, own, scratch);
  forward_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  forward_.name = pd.impl_info_str();
  forward_.call = Call(e, dnnl::lrn_forward(pd),
                       {{DNNL_ARG_SRC, kernel},
                        {DNNL_ARG_DST, kernel},
                        {DNNL_ARG_WORKSPACE, pd.workspace_desc()},
                        {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  workspace_bytes_ = scratch.bytes();
  if (spec_.passes.backward_data) {
    aux_bytes_ = pd.workspace_desc().get_size();
    make_backward(pd, own, kernel);
  }
}

void CpuLrn::make_backward(const ForwardPd& forward, const Md& own, const Md& kernel) {
  const dnnl::engine& e = backend_.engine();
  const BackwardPd pd = backward_pd(forward, kernel);
  cpu::ScratchPlan scratch;
  data_.x = Border::in(e, own, kernel, scratch);
  data_.dy = Border::in(e, own, kernel, scratch);
  data_.out = Border::out(e, kernel, own, scratch);
  data_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  data_.name = pd.impl_info_str();
  data_.call = Call(e, dnnl::lrn_backward(pd),
                    {{DNNL_ARG_SRC, kernel},
                     {DNNL_ARG_DIFF_DST, kernel},
                     {DNNL_ARG_DIFF_SRC, kernel},
                     {DNNL_ARG_WORKSPACE, pd.workspace_desc()},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  workspace_bytes_ = std::max(workspace_bytes_, scratch.bytes());
}

}  // namespace

std::unique_ptr<LrnPlan> CpuBackend::make_lrn(const LrnSpec& spec) {
  require(spec.x.dtype, "lrn");
  return cpu::guard("lrn", [&] { return std::make_unique<CpuLrn>(*this, spec); });
}

}  // namespace ft
