// Pooling in own loops, vectorised over channels (kernels_pool.h). oneDNN's kernels add overlapping
// windows in bf16 and lose not-a-number in a maximum.
#include "tensor/ops/pool2d.h"

#include <algorithm>
#include <vector>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::LaneKernels;
using cpu::Lanes;
using cpu::PoolAxis;
using cpu::Range;

// Windows along one axis, with the tables that the kernels read.
class Axis {
 public:
  // Output p covers inputs p*stride - pad .. + size - 1, cut at the borders.
  Axis(int64_t in, int64_t out, int64_t size, int64_t stride, int64_t pad)
      : axis_{in, out, size, stride, pad, nullptr, nullptr} {
    for (int64_t p = 0; p < out; ++p)
      add(std::max<int64_t>(p * stride - pad, 0), std::min(p * stride - pad + size, in));
    turn();
  }
  // Adaptive: floor(p*in/out) .. ceil((p+1)*in/out) - 1.
  Axis(int64_t in, int64_t out) : axis_{in, out, 0, 0, 0, nullptr, nullptr} {
    for (int64_t p = 0; p < out; ++p) add(p * in / out, ((p + 1) * in + out - 1) / out);
    turn();
  }
  PoolAxis view() const {
    PoolAxis axis = axis_;
    axis.inputs = inputs_.data();
    axis.outputs = outputs_.data();
    return axis;
  }

 private:
  void add(int64_t begin, int64_t end) {
    inputs_.push_back({static_cast<int32_t>(begin), static_cast<int32_t>(end)});
  }
  // Begins and ends of windows grow with p, so the windows that hold an input are neighbours.
  void turn() {
    outputs_.assign(static_cast<size_t>(axis_.in), Range{0, 0});
    for (int32_t p = 0; p < static_cast<int32_t>(axis_.out); ++p)
      for (int32_t h = inputs_[p].begin; h < inputs_[p].end; ++h) {
        if (outputs_[h].end == 0) outputs_[h].begin = p;
        outputs_[h].end = p + 1;
      }
  }
  PoolAxis axis_;
  std::vector<Range> inputs_, outputs_;
};

// y lies as x does.
template <class T, int W>
class CpuPool2d : public Pool2dPlan {
 public:
  CpuPool2d(CpuBackend& backend, const TensorSpec& x, const Axis& rows, const Axis& columns)
      : backend_(backend),
        rows_(rows),
        columns_(columns),
        y_{{x.shape.n(), x.shape.c(), rows.view().out, columns.view().out}, x.dtype, x.layout},
        in_(x),
        out_(y_),
        windows_{rows_.view(), columns_.view(), in_.stride},
        kernels_(backend.kernels()) {}

  const TensorSpec& y_spec() const override { return y_; }
  std::string describe(PassKind) const override { return backend_.kernels_name(); }

 protected:
  // Calls fn(n, block) for all blocks of channels.
  template <class Fn>
  void each_block(const Fn& fn) const {
    cpu::parallel_for(backend_.threads(), in_.n * in_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fn(i / in_.blocks, i % in_.blocks);
    });
  }
  T* of_x(const Tensor& t, int64_t n, int64_t block) const {
    return cpu::data_of<T>(t) + in_.offset(n, block);
  }
  T* of_y(const Tensor& t, int64_t n, int64_t block) const {
    return cpu::data_of<T>(t) + out_.offset(n, block);
  }

  CpuBackend& backend_;
  const Axis rows_, columns_;
  const TensorSpec y_;
  const Lanes in_, out_;
  const cpu::PoolWindows windows_;
  const LaneKernels<T, W>& kernels_;
};

template <class T, int W>
class CpuAveragePool2d final : public CpuPool2d<T, W> {
 public:
  using CpuPool2d<T, W>::CpuPool2d;
  void forward(StreamRef, const Tensor& x, const Tensor& y, const Tensor&, const Tensor&) override {
    this->each_block([&](int64_t n, int64_t b) {
      this->kernels_.average(this->windows_, this->of_x(x, n, b), this->of_y(y, n, b));
    });
  }
  void backward_data(StreamRef, const Tensor& dy, const Tensor&, const Tensor& dx,
                     const Tensor&) override {
    this->each_block([&](int64_t n, int64_t b) {
      this->kernels_.average_backward(this->windows_, this->of_y(dy, n, b), this->of_x(dx, n, b));
    });
  }
};

// aux: the place of every maximum in its window, 16 bits each.
template <class T, int W>
class CpuMaxPool2d final : public CpuPool2d<T, W> {
 public:
  CpuMaxPool2d(CpuBackend& backend, const TensorSpec& x, const Axis& rows, const Axis& columns,
               bool backward)
      : CpuPool2d<T, W>(backend, x, rows, columns), backward_(backward) {}
  size_t aux_bytes() const override {
    return backward_ ? static_cast<size_t>(this->y_.padded_elements()) * sizeof(uint16_t) : 0;
  }
  void forward(StreamRef, const Tensor& x, const Tensor& y, const Tensor& aux,
               const Tensor&) override {
    this->each_block([&](int64_t n, int64_t b) {
      uint16_t* place = backward_ ? of_aux(aux, n, b) : nullptr;
      this->kernels_.max(this->windows_, this->of_x(x, n, b), this->of_y(y, n, b), place);
    });
  }
  void backward_data(StreamRef, const Tensor& dy, const Tensor& aux, const Tensor& dx,
                     const Tensor&) override {
    this->each_block([&](int64_t n, int64_t b) {
      this->kernels_.max_backward(this->windows_, this->of_y(dy, n, b), of_aux(aux, n, b),
                                  this->of_x(dx, n, b));
    });
  }

 private:
  uint16_t* of_aux(const Tensor& aux, int64_t n, int64_t block) const {
    return cpu::data_of<uint16_t>(aux) + (n * this->out_.blocks + block) * this->out_.positions * W;
  }
  const bool backward_;
};

}  // namespace

std::unique_ptr<Pool2dPlan> CpuBackend::make_pool2d(const Pool2dSpec& spec) {
  require(spec.x.dtype, "pool2d");
  const Shape y = spec.y_shape();
  const Axis rows{spec.x.shape.h(), y.h(), spec.r, spec.stride_h, spec.pad_h};
  const Axis columns{spec.x.shape.w(), y.w(), spec.s, spec.stride_w, spec.pad_w};
  const bool backward = spec.passes.backward_data;
  return cpu::with_lanes<Pool2dPlan>(
      spec.x, [&](auto element, auto lanes) -> std::unique_ptr<Pool2dPlan> {
        using T = decltype(element);
        constexpr int W = decltype(lanes)::value;
        if (spec.kind == Pool2dSpec::Kind::average)
          return std::make_unique<CpuAveragePool2d<T, W>>(*this, spec.x, rows, columns);
        return std::make_unique<CpuMaxPool2d<T, W>>(*this, spec.x, rows, columns, backward);
      });
}

std::unique_ptr<Pool2dPlan> CpuBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& spec) {
  require(spec.x.dtype, "adaptive_avg_pool2d");
  const Axis rows(spec.x.shape.h(), spec.p), columns(spec.x.shape.w(), spec.q);
  return cpu::with_lanes<Pool2dPlan>(spec.x, [&](auto element, auto lanes) {
    return std::make_unique<CpuAveragePool2d<decltype(element), decltype(lanes)::value>>(
        *this, spec.x, rows, columns);
  });
}

}  // namespace ft
