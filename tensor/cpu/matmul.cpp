// Fully connected layer: oneDNN's inner product on the flattened sample. Samples are few and small
// next to the weights, so x is brought to plain order and the weights stay in theirs.
#include "tensor/ops/matmul.h"

#include <algorithm>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::Border;
using cpu::Call;
using cpu::Md;

// db[o] = sum over n of dy[n,o]: the gradient of a bias whose weights are frozen.
void sum_rows(int threads, const Tensor& dy, const Tensor& db) {
  const int64_t rows = dy.shape().n(), columns = dy.shape().c();
  float* sums = db.as<float>();
  cpu::with_element(dy.spec().dtype, [&](auto element) {
    const auto* from = cpu::data_of<decltype(element)>(dy);
    cpu::parallel_for(threads, columns, 256, [&](int64_t begin, int64_t end) {
      std::fill(sums + begin, sums + end, 0.f);
      for (int64_t n = 0; n < rows; ++n)
        for (int64_t o = begin; o < end; ++o) sums[o] += cpu::load(from[n * columns + o]);
    });
  });
}

class CpuMatmul final : public MatmulPlan {
 public:
  CpuMatmul(CpuBackend& backend, const MatmulSpec& spec)
      : backend_(backend), spec_(spec), y_{spec.y_shape(), spec.y_dtype, Layout::plain} {
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

  void forward(StreamRef, const Tensor& x, const Weights& weights, const Tensor& y,
               const Tensor& workspace) override;
  void backward_data(StreamRef, const Tensor& dy, const Weights& weights, const Tensor& dx,
                     const Tensor& workspace) override;
  void backward_weights(StreamRef, const Tensor& x, const Tensor& dy, const Tensor& dw,
                        const Tensor& db, const Tensor& workspace) override;

 private:
  using ForwardPd = dnnl::inner_product_forward::primitive_desc;
  ForwardPd make_forward();
  void make_backward_data(const ForwardPd& hint);
  void make_backward_weights(const ForwardPd& hint);

  // x and y as the kernels see them: {N,I} and {N,O}, plain, in the element type of x.
  Md flat_x() const { return cpu::plain_desc({n(), spec_.in()}, spec_.x.dtype); }
  Md flat_y() const { return cpu::plain_desc({n(), spec_.out}, spec_.x.dtype); }
  Md plain_weights() const { return cpu::plain_desc({spec_.out, spec_.in()}, DType::f32); }
  Md wanted_weights() const;
  Md bias() const;
  int64_t n() const { return spec_.x.shape.n(); }
  // The sample in C,H,W order and the shape of x; the same memory as flat_x().
  Md unrolled_x() const { return cpu::plain_desc(cpu::dims_of(spec_.x.shape), spec_.x.dtype); }
  Border x_in(cpu::ScratchPlan& scratch) const {
    return Border::in(backend_.engine(), cpu::desc_of(spec_.x), unrolled_x(), scratch);
  }
  // dy in the element type of x: oneDNN multiplies bf16 by bf16 only.
  Border dy_in(cpu::ScratchPlan& scratch) const {
    return Border::in(backend_.engine(), cpu::desc_of(y_), flat_y(), scratch);
  }
  void settle(PassKind pass, const std::string& impl, size_t bytes);

  CpuBackend& backend_;
  const MatmulSpec spec_;
  const TensorSpec y_;
  size_t workspace_bytes_ = 0;
  std::string names_[3] = {"none", "none", "none"};

  struct Pass {
    Call call;
    Border x, dy;
    size_t scratch = 0;
  };
  Pass forward_, data_, weights_;
  cpu::PackedWeights forward_w_, data_w_;
  size_t spare_db_ = 0;  // for a gradient that nobody wants
};

Md CpuMatmul::bias() const { return spec_.bias ? cpu::plain_desc({spec_.out}, DType::f32) : Md(); }

// Weights that train change every step: packing them costs as much as it saves, so f32 stays as it
// is. Frozen ones are packed once; bf16 is a copy in any case.
Md CpuMatmul::wanted_weights() const {
  if (spec_.passes.backward_weights && spec_.x.dtype == DType::f32) return plain_weights();
  return cpu::any_desc({spec_.out, spec_.in()}, spec_.x.dtype);
}

void CpuMatmul::settle(PassKind pass, const std::string& impl, size_t bytes) {
  names_[static_cast<size_t>(pass)] = impl;
  workspace_bytes_ = std::max(workspace_bytes_, bytes);
}

CpuMatmul::ForwardPd CpuMatmul::make_forward() {
  const dnnl::engine& e = backend_.engine();
  dnnl::primitive_attr attr = cpu::base_attr();
  dnnl::post_ops ops;
  if (spec_.relu) cpu::append_relu(ops);
  attr.set_post_ops(ops);
  const auto kind = spec_.passes.any_backward() ? dnnl::prop_kind::forward_training
                                                : dnnl::prop_kind::forward_inference;
  const auto pd = cpu::make_pd<dnnl::inner_product_forward>(
      e, attr, kind, flat_x(), wanted_weights(), bias(), cpu::desc_of(y_));
  cpu::ScratchPlan scratch;
  forward_.x = x_in(scratch);
  forward_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  forward_w_ = cpu::PackedWeights(backend_.packs(), e, plain_weights(), pd.weights_desc());
  forward_.call = Call(e, dnnl::inner_product_forward(pd),
                       {{DNNL_ARG_SRC, pd.src_desc()},
                        {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                        {DNNL_ARG_BIAS, bias()},
                        {DNNL_ARG_DST, pd.dst_desc()},
                        {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::forward, pd.impl_info_str(), scratch.bytes());
  return pd;
}

void CpuMatmul::make_backward_data(const ForwardPd& hint) {
  const dnnl::engine& e = backend_.engine();
  const auto pd = cpu::make_backward_pd<dnnl::inner_product_backward_data>(
      e, cpu::base_attr(), hint, flat_x(), wanted_weights(), flat_y());
  cpu::ScratchPlan scratch;
  data_.dy = dy_in(scratch);
  data_.x = Border::out(e, unrolled_x(), cpu::desc_of(spec_.x), scratch);
  data_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  data_w_ = cpu::PackedWeights(backend_.packs(), e, plain_weights(), pd.weights_desc());
  data_.call = Call(e, dnnl::inner_product_backward_data(pd),
                    {{DNNL_ARG_DIFF_DST, pd.diff_dst_desc()},
                     {DNNL_ARG_WEIGHTS, pd.weights_desc()},
                     {DNNL_ARG_DIFF_SRC, pd.diff_src_desc()},
                     {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::backward_data, pd.impl_info_str(), scratch.bytes());
}

void CpuMatmul::make_backward_weights(const ForwardPd& hint) {
  const dnnl::engine& e = backend_.engine();
  const auto pd = cpu::make_backward_pd<dnnl::inner_product_backward_weights>(
      e, cpu::base_attr(), hint, flat_x(), plain_weights(), bias(), flat_y());
  cpu::ScratchPlan scratch;
  weights_.x = x_in(scratch);
  weights_.dy = dy_in(scratch);
  weights_.scratch = scratch.add(pd.scratchpad_desc().get_size());
  spare_db_ = scratch.add(bias().get_size());
  weights_.call = Call(e, dnnl::inner_product_backward_weights(pd),
                       {{DNNL_ARG_SRC, pd.src_desc()},
                        {DNNL_ARG_DIFF_DST, pd.diff_dst_desc()},
                        {DNNL_ARG_DIFF_WEIGHTS, pd.diff_weights_desc()},
                        {DNNL_ARG_DIFF_BIAS, bias()},
                        {DNNL_ARG_SCRATCHPAD, pd.scratchpad_desc()}});
  settle(PassKind::backward_weights, pd.impl_info_str(), scratch.bytes());
}

void CpuMatmul::forward(StreamRef, const Tensor& x, const Weights& weights, const Tensor& y,
                        const Tensor& workspace) {
  const dnnl::stream& s = backend_.stream();
  cpu::guard("matmul forward", [&] {
    forward_.call.run(s, {{DNNL_ARG_SRC, forward_.x.read(s, x.data(), workspace)},
                          {DNNL_ARG_WEIGHTS, forward_w_.get(s, weights.w, weights.version)},
                          {DNNL_ARG_BIAS, weights.b.data()},
                          {DNNL_ARG_DST, y.data()},
                          {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, forward_.scratch)}});
  });
}

void CpuMatmul::backward_data(StreamRef, const Tensor& dy, const Weights& weights, const Tensor& dx,
                              const Tensor& workspace) {
  const dnnl::stream& s = backend_.stream();
  cpu::guard("matmul backward_data", [&] {
    data_.call.run(s, {{DNNL_ARG_DIFF_DST, data_.dy.read(s, dy.data(), workspace)},
                       {DNNL_ARG_WEIGHTS, data_w_.get(s, weights.w, weights.version)},
                       {DNNL_ARG_DIFF_SRC, data_.x.target(dx.data(), workspace)},
                       {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, data_.scratch)}});
    data_.x.finish(s, dx.data(), workspace);
  });
}

void CpuMatmul::backward_weights(StreamRef, const Tensor& x, const Tensor& dy, const Tensor& dw,
                                 const Tensor& db, const Tensor& workspace) {
  if (dw.empty()) return sum_rows(backend_.threads(), dy, db);
  const dnnl::stream& s = backend_.stream();
  cpu::guard("matmul backward_weights", [&] {
    void* db_to = db.empty() ? cpu::at(workspace, spare_db_) : db.data();
    weights_.call.run(s, {{DNNL_ARG_SRC, weights_.x.read(s, x.data(), workspace)},
                          {DNNL_ARG_DIFF_DST, weights_.dy.read(s, dy.data(), workspace)},
                          {DNNL_ARG_DIFF_WEIGHTS, dw.data()},
                          {DNNL_ARG_DIFF_BIAS, db_to},
                          {DNNL_ARG_SCRATCHPAD, cpu::at(workspace, weights_.scratch)}});
  });
}

}  // namespace

std::unique_ptr<MatmulPlan> CpuBackend::make_matmul(const MatmulSpec& spec) {
  require(spec.x.dtype, "matmul");
  return cpu::guard("matmul", [&] { return std::make_unique<CpuMatmul>(*this, spec); });
}

}  // namespace ft
