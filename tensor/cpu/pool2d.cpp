// Average pooling: oneDNN's kernels where windows are regular, own loops for adaptive averages that
// are not. Max pooling is in pool2d_max.cpp.
#include "tensor/ops/pool2d.h"

#include <cstring>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::Call;
using cpu::Lanes;
using cpu::Md;

// y lies as x does: oneDNN pools all four layouts.
class CpuAveragePool2d final : public Pool2dPlan {
 public:
  CpuAveragePool2d(CpuBackend& backend, const Pool2dSpec& spec)
      : backend_(backend), y_{spec.y_shape(), spec.x.dtype, spec.x.layout} {
    make(spec);
  }
  const TensorSpec& y_spec() const override { return y_; }
  size_t workspace_bytes() const override { return std::max(forward_scratch_, data_scratch_); }
  std::string describe(PassKind pass) const override {
    return pass == PassKind::forward ? forward_name_ : data_name_;
  }

  void forward(StreamRef, const Tensor& x, const Tensor& y, const Tensor&,
               const Tensor& workspace) override {
    cpu::guard("pool2d forward", [&] {
      forward_.run(backend_.stream(), {{DNNL_ARG_SRC, x.data()},
                                       {DNNL_ARG_DST, y.data()},
                                       {DNNL_ARG_SCRATCHPAD, workspace.data()}});
    });
  }
  void backward_data(StreamRef, const Tensor& dy, const Tensor&, const Tensor& dx,
                     const Tensor& workspace) override {
    cpu::guard("pool2d backward_data", [&] {
      data_.run(backend_.stream(), {{DNNL_ARG_DIFF_DST, dy.data()},
                                    {DNNL_ARG_DIFF_SRC, dx.data()},
                                    {DNNL_ARG_SCRATCHPAD, workspace.data()}});
    });
  }

 private:
  void make(const Pool2dSpec& spec);

  CpuBackend& backend_;
  const TensorSpec y_;
  Call forward_, data_;
  size_t forward_scratch_ = 0, data_scratch_ = 0;
  std::string forward_name_, data_name_ = "none";
};

void CpuAveragePool2d::make(const Pool2dSpec& spec) {
  const dnnl::engine& e = backend_.engine();
  const auto attr = cpu::base_attr();
  const dnnl::memory::dims stride{spec.stride_h, spec.stride_w}, kernel{spec.r, spec.s};
  const dnnl::memory::dims pad{spec.pad_h, spec.pad_w};
  const auto algorithm = dnnl::algorithm::pooling_avg_exclude_padding;
  const auto kind = spec.passes.backward_data ? dnnl::prop_kind::forward_training
                                              : dnnl::prop_kind::forward_inference;
  const Md x = cpu::desc_of(spec.x), y = cpu::desc_of(y_);
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::memory::dims dilation{0, 0};
  const auto forward = cpu::make_pd<dnnl::pooling_forward>(e, attr, kind, algorithm, x, y, stride,
                                                           kernel, dilation, pad, pad);
#else
  const auto forward =
      cpu::make_pd<dnnl::pooling_forward>(e, attr, kind, algorithm, x, y, stride, kernel, pad, pad);
#endif
  forward_scratch_ = forward.scratchpad_desc().get_size();
  forward_name_ = forward.impl_info_str();
  forward_ = Call(
      e, dnnl::pooling_forward(forward),
      {{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}, {DNNL_ARG_SCRATCHPAD, forward.scratchpad_desc()}});
  if (!spec.passes.backward_data) return;
#if DNNL_VERSION_MAJOR >= 3
  const auto data = cpu::make_backward_pd<dnnl::pooling_backward>(
      e, attr, forward, algorithm, x, y, stride, kernel, dilation, pad, pad);
#else
  const auto data = cpu::make_backward_pd<dnnl::pooling_backward>(e, attr, forward, algorithm, x, y,
                                                                  stride, kernel, pad, pad);
#endif
  data_scratch_ = data.scratchpad_desc().get_size();
  data_name_ = data.impl_info_str();
  data_ = Call(e, dnnl::pooling_backward(data),
               {{DNNL_ARG_DIFF_DST, y},
                {DNNL_ARG_DIFF_SRC, x},
                {DNNL_ARG_SCRATCHPAD, data.scratchpad_desc()}});
}

// Windows of adaptive pooling along one axis: output p averages inputs begin(p) .. end(p)-1, and
// input h is in outputs first[h] .. last[h].
struct Windows {
  int64_t in, out;
  std::vector<int64_t> first, last;
  Windows(int64_t in_size, int64_t out_size)
      : in(in_size), out(out_size), first(in_size, out_size), last(in_size, -1) {
    for (int64_t p = 0; p < out; ++p)
      for (int64_t h = begin(p); h < end(p); ++h) {
        first[h] = std::min(first[h], p);
        last[h] = p;
      }
  }
  int64_t begin(int64_t p) const { return p * in / out; }
  int64_t end(int64_t p) const { return ((p + 1) * in + out - 1) / out; }
};

class CpuAdaptivePool final : public Pool2dPlan {
 public:
  CpuAdaptivePool(CpuBackend& backend, const AdaptiveAvgPool2dSpec& spec)
      : backend_(backend),
        x_(spec.x),
        y_{spec.y_shape(), spec.x.dtype, spec.x.layout},
        rows_(spec.x.shape.h(), spec.p),
        columns_(spec.x.shape.w(), spec.q) {}
  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind) const override { return same() ? "copy" : "loops"; }

  void forward(StreamRef s, const Tensor& x, const Tensor& y, const Tensor&,
               const Tensor&) override {
    if (same()) return backend_.convert(s, x, y);
    cpu::with_element(x_.dtype, [&](auto element) {
      using T = decltype(element);
      each_block([&](const Lanes& in, const Lanes& out, int64_t n, int64_t b) {
        average<T>(in, cpu::data_of<T>(x) + in.offset(n, b), out,
                   cpu::data_of<T>(y) + out.offset(n, b), in.width);
      });
    });
  }
  void backward_data(StreamRef s, const Tensor& dy, const Tensor&, const Tensor& dx,
                     const Tensor&) override {
    if (same()) return backend_.convert(s, dy, dx);
    cpu::with_element(x_.dtype, [&](auto element) {
      using T = decltype(element);
      each_block([&](const Lanes& in, const Lanes& out, int64_t n, int64_t b) {
        spread<T>(out, cpu::data_of<T>(dy) + out.offset(n, b), in,
                  cpu::data_of<T>(dx) + in.offset(n, b), in.width);
      });
    });
  }

 private:
  bool same() const { return x_.shape == y_.shape; }

  template <class Fn>
  void each_block(const Fn& fn) const {
    const Lanes in(x_), out(y_);
    cpu::parallel_for(backend_.threads(), in.n * in.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fn(in, out, i / in.blocks, i % in.blocks);
    });
  }

  template <class T>
  void average(const Lanes& in, const T* x, const Lanes& out, T* y, int64_t lanes) const {
    for (int64_t p = 0; p < rows_.out; ++p)
      for (int64_t q = 0; q < columns_.out; ++q) {
        float sum[cpu::kMaxLanes] = {};
        for (int64_t h = rows_.begin(p); h < rows_.end(p); ++h)
          for (int64_t w = columns_.begin(q); w < columns_.end(q); ++w)
            for (int64_t l = 0; l < lanes; ++l)
              sum[l] += cpu::load(x[(h * columns_.in + w) * in.stride + l]);
        const int64_t count =
            (rows_.end(p) - rows_.begin(p)) * (columns_.end(q) - columns_.begin(q));
        T* to = y + (p * columns_.out + q) * out.stride;
        for (int64_t l = 0; l < lanes; ++l) cpu::store(to[l], sum[l] / static_cast<float>(count));
      }
  }

  template <class T>
  void spread(const Lanes& out, const T* dy, const Lanes& in, T* dx, int64_t lanes) const {
    for (int64_t h = 0; h < rows_.in; ++h)
      for (int64_t w = 0; w < columns_.in; ++w) {
        float sum[cpu::kMaxLanes] = {};
        for (int64_t p = rows_.first[h]; p <= rows_.last[h]; ++p)
          for (int64_t q = columns_.first[w]; q <= columns_.last[w]; ++q) {
            const int64_t count =
                (rows_.end(p) - rows_.begin(p)) * (columns_.end(q) - columns_.begin(q));
            const T* from = dy + (p * columns_.out + q) * out.stride;
            for (int64_t l = 0; l < lanes; ++l)
              sum[l] += cpu::load(from[l]) / static_cast<float>(count);
          }
        T* to = dx + (h * columns_.in + w) * in.stride;
        for (int64_t l = 0; l < lanes; ++l) cpu::store(to[l], sum[l]);
      }
  }

  CpuBackend& backend_;
  const TensorSpec x_, y_;
  const Windows rows_, columns_;
};

}  // namespace

std::unique_ptr<Pool2dPlan> CpuBackend::make_pool2d(const Pool2dSpec& spec) {
  require(spec.x.dtype, "pool2d");
  if (spec.kind == Pool2dSpec::Kind::max) return cpu::make_max_pool2d(*this, spec);
  return cpu::guard("pool2d", [&] { return std::make_unique<CpuAveragePool2d>(*this, spec); });
}

// Equal windows side by side are ordinary pooling.
std::unique_ptr<Pool2dPlan> CpuBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& spec) {
  require(spec.x.dtype, "adaptive_avg_pool2d");
  const int64_t h = spec.x.shape.h(), w = spec.x.shape.w();
  if ((h != spec.p || w != spec.q) && h % spec.p == 0 && w % spec.q == 0) {
    const int64_t r = h / spec.p, s = w / spec.q;
    return make_pool2d({spec.x, Pool2dSpec::Kind::average, r, s, r, s, 0, 0, spec.passes});
  }
  return std::make_unique<CpuAdaptivePool>(*this, spec);
}

}  // namespace ft
