// Max pooling in own loops, vectorised over channels: not-a-number wins, overlapping windows are
// summed in f32 and in a fixed order, in bf16 as well; oneDNN's kernels do neither. Backward
// gathers: each input adds up the windows in which it was the maximum.
#include <algorithm>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::Lanes;
using cpu::load;
using cpu::store;

// Windows along one axis: output p covers inputs p*stride - pad .. + size - 1, cut at the borders.
struct Axis {
  int64_t in, out, size, stride, pad;

  int64_t begin(int64_t p) const { return std::max<int64_t>(p * stride - pad, 0); }
  int64_t end(int64_t p) const { return std::min(p * stride - pad + size, in); }
  // Outputs whose windows hold input h.
  int64_t first_output(int64_t h) const {
    const int64_t before = h + pad - size;
    return before < 0 ? 0 : before / stride + 1;
  }
  int64_t end_output(int64_t h) const { return std::min((h + pad) / stride + 1, out); }
  // Place of input h in the window of output p.
  int64_t tap(int64_t h, int64_t p) const { return h - (p * stride - pad); }
};

// One block of channels of one sample; x and y have W lanes every `stride` elements.
struct Windows {
  Axis rows, columns;
  int64_t stride;
};

// I holds the place of a maximum in its window, W places for every output position; null: not
// wanted.
template <class T, int W, class I>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void max_forward(
    const Windows& v, const T* x, T* y, I* index) {
  for (int64_t p = 0; p < v.rows.out; ++p)
    for (int64_t q = 0; q < v.columns.out; ++q) {
      const int64_t top = v.rows.begin(p), left = v.columns.begin(q);
      const int64_t first_tap = v.rows.tap(top, p) * v.columns.size + v.columns.tap(left, q);
      float best[W];
      int32_t place[W];
      for (int l = 0; l < W; ++l) best[l] = load(x[(top * v.columns.in + left) * v.stride + l]);
      for (int l = 0; l < W; ++l) place[l] = static_cast<int32_t>(first_tap);
      for (int64_t h = top; h < v.rows.end(p); ++h)
        for (int64_t w = left; w < v.columns.end(q); ++w) {
          const T* from = x + (h * v.columns.in + w) * v.stride;
          const auto tap =
              static_cast<int32_t>(v.rows.tap(h, p) * v.columns.size + v.columns.tap(w, q));
          for (int l = 0; l < W; ++l) {
            const float value = load(from[l]);
            const bool wins = !(value <= best[l]) & (best[l] == best[l]);
            place[l] = wins ? tap : place[l];
            best[l] = wins ? value : best[l];
          }
        }
      const int64_t at = p * v.columns.out + q;
      for (int l = 0; l < W; ++l) store(y[at * v.stride + l], best[l]);
      if (index != nullptr)
        for (int l = 0; l < W; ++l) index[at * W + l] = static_cast<I>(place[l]);
    }
}

template <class T, int W, class I>
[[gnu::target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")]] void max_backward(
    const Windows& v, const T* dy, const I* index, T* dx) {
  for (int64_t h = 0; h < v.rows.in; ++h)
    for (int64_t w = 0; w < v.columns.in; ++w) {
      float sum[W] = {};
      for (int64_t p = v.rows.first_output(h); p < v.rows.end_output(h); ++p)
        for (int64_t q = v.columns.first_output(w); q < v.columns.end_output(w); ++q) {
          const auto tap =
              static_cast<int32_t>(v.rows.tap(h, p) * v.columns.size + v.columns.tap(w, q));
          const int64_t at = p * v.columns.out + q;
          for (int l = 0; l < W; ++l)
            sum[l] += index[at * W + l] == tap ? load(dy[at * v.stride + l]) : 0.f;
        }
      T* to = dx + (h * v.columns.in + w) * v.stride;
      for (int l = 0; l < W; ++l) store(to[l], sum[l]);
    }
}

template <class T, int W, class I>
class CpuMaxPool2d final : public Pool2dPlan {
 public:
  CpuMaxPool2d(CpuBackend& backend, const Pool2dSpec& spec)
      : backend_(backend),
        x_(spec.x),
        y_{spec.y_shape(), spec.x.dtype, spec.x.layout},
        in_(x_),
        out_(y_),
        windows_{{x_.shape.h(), y_.shape.h(), spec.r, spec.stride_h, spec.pad_h},
                 {x_.shape.w(), y_.shape.w(), spec.s, spec.stride_w, spec.pad_w},
                 in_.stride},
        backward_(spec.passes.backward_data) {}

  const TensorSpec& y_spec() const override { return y_; }
  size_t aux_bytes() const override {
    return backward_ ? static_cast<size_t>(y_.padded_elements()) * sizeof(I) : 0;
  }
  std::string describe(PassKind) const override { return "loops"; }

  void forward(StreamRef, const Tensor& x, const Tensor& y, const Tensor& aux,
               const Tensor&) override {
    each_block([&](int64_t n, int64_t block) {
      max_forward<T, W, I>(windows_, cpu::data_of<T>(x) + in_.offset(n, block),
                           cpu::data_of<T>(y) + out_.offset(n, block), index(aux, n, block));
    });
  }
  void backward_data(StreamRef, const Tensor& dy, const Tensor& aux, const Tensor& dx,
                     const Tensor&) override {
    each_block([&](int64_t n, int64_t block) {
      max_backward<T, W, I>(windows_, cpu::data_of<T>(dy) + out_.offset(n, block),
                            index(aux, n, block), cpu::data_of<T>(dx) + in_.offset(n, block));
    });
  }

 private:
  I* index(const Tensor& aux, int64_t n, int64_t block) const {
    if (!backward_) return nullptr;
    return cpu::data_of<I>(aux) + (n * out_.blocks + block) * out_.positions * W;
  }
  template <class Fn>
  void each_block(const Fn& fn) const {
    cpu::parallel_for(backend_.threads(), in_.n * in_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fn(i / in_.blocks, i % in_.blocks);
    });
  }

  CpuBackend& backend_;
  const TensorSpec x_, y_;
  const Lanes in_, out_;
  const Windows windows_;
  const bool backward_;
};

template <class T, class I>
std::unique_ptr<Pool2dPlan> make(CpuBackend& backend, const Pool2dSpec& spec) {
  switch (Lanes(spec.x).width) {
    case 16:
      return std::make_unique<CpuMaxPool2d<T, 16, I>>(backend, spec);
    case 8:
      return std::make_unique<CpuMaxPool2d<T, 8, I>>(backend, spec);
    default:
      return std::make_unique<CpuMaxPool2d<T, 1, I>>(backend, spec);
  }
}

}  // namespace

namespace cpu {

std::unique_ptr<Pool2dPlan> make_max_pool2d(CpuBackend& backend, const Pool2dSpec& spec) {
  return with_element(spec.x.dtype, [&](auto element) {
    using T = decltype(element);
    return spec.r * spec.s <= 256 ? make<T, uint8_t>(backend, spec)
                                  : make<T, int32_t>(backend, spec);
  });
}

}  // namespace cpu
}  // namespace ft
