// Pooling by its definition. Input {N,C,H,W}, output {N,C,P,Q}; each channel of each sample by
// itself.
#include <algorithm>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

// Rows or columns first ... end-1.
struct Range {
  int64_t first, end;
};

// One axis of a pooling: which inputs an output covers, and which outputs cover an input.
// Windows:  output p covers p*stride - pad ... p*stride - pad + size - 1, cut at the borders.
// Adaptive: output p covers floor(p*H/P) ... ceil((p+1)*H/P) - 1.
struct Axis {
  int64_t in, out, size = 0, stride = 0, pad = 0;  // size 0: adaptive

  Range inputs_of(int64_t p) const {
    if (size == 0) return {p * in / out, ((p + 1) * in + out - 1) / out};
    const int64_t first = p * stride - pad;
    return {std::max<int64_t>(first, 0), std::min(first + size, in)};
  }
  Range outputs_of(int64_t h) const {
    if (size == 0) return {h * out / in, ((h + 1) * out + in - 1) / in};
    const int64_t below =
        h + pad - size;  // the last window that begins here or before ends before h
    return {below < 0 ? 0 : below / stride + 1, std::min((h + pad) / stride + 1, out)};
  }
};

template <class T>
class RefPool2d final : public ref::RefPlan<Pool2dPlan> {
 public:
  explicit RefPool2d(const Pool2dSpec& a)
      : RefPlan({a.y_shape(), a.x.dtype, Layout::plain}),
        max_(a.kind == Pool2dSpec::Kind::max),
        backward_(a.passes.backward_data),
        x_shape_(a.x.shape),
        rows_{a.x.shape.h(), y_.shape.h(), a.r, a.stride_h, a.pad_h},
        columns_{a.x.shape.w(), y_.shape.w(), a.s, a.stride_w, a.pad_w} {}
  explicit RefPool2d(const AdaptiveAvgPool2dSpec& a)
      : RefPlan({a.y_shape(), a.x.dtype, Layout::plain}),
        max_(false),
        backward_(a.passes.backward_data),
        x_shape_(a.x.shape),
        rows_{a.x.shape.h(), a.p},
        columns_{a.x.shape.w(), a.q} {}

  // Index h*W + w of every maximum.
  size_t aux_bytes() const override {
    return max_ && backward_ ? static_cast<size_t>(y_.shape.elements()) * sizeof(int32_t) : 0;
  }

  // y[n,c,p,q] = max or mean of x[n,c,h,w] over h in inputs_of(p), w in inputs_of(q); the first
  // maximum in row-major order wins, and not-a-number beats every number.
  void forward(StreamRef, const Tensor& x_in, const Tensor& y_out, const Tensor& aux,
               const Tensor&) override {
    const ref::View<T> x(x_in, x_shape_), y(y_out, y_.shape);
    int32_t* index = aux_bytes() == 0 ? nullptr : static_cast<int32_t*>(aux.data());
    ref::for_each(y_.shape, [&](int64_t n, int64_t c, int64_t p, int64_t q) {
      const Range rows = rows_.inputs_of(p), columns = columns_.inputs_of(q);
      double sum = 0;
      int64_t top = rows.first, left = columns.first;
      for (int64_t h = rows.first; h < rows.end; ++h)
        for (int64_t w = columns.first; w < columns.end; ++w) {
          const T v = x(n, c, h, w), best = x(n, c, top, left);
          if (v > best || (v != v && best == best)) top = h, left = w;
          sum += v;
        }
      const double mean = sum / static_cast<double>(area(rows, columns));
      y(n, c, p, q) = max_ ? x(n, c, top, left) : static_cast<T>(mean);
      if (index != nullptr) *index++ = static_cast<int32_t>(top * x_shape_.w() + left);
    });
  }

  // dx[n,c,h,w] = sum over the outputs p,q that cover h,w of
  //   max:     dy[n,c,p,q] where the maximum of p,q was at h,w
  //   average: dy[n,c,p,q] / inputs that p,q covers
  void backward_data(StreamRef, const Tensor& dy_in, const Tensor& aux, const Tensor& dx_out,
                     const Tensor&) override {
    const ref::View<T> dy(dy_in, y_.shape), dx(dx_out, x_shape_);
    const auto* index = static_cast<const int32_t*>(aux.data());
    const int64_t C = x_shape_.c(), P = y_.shape.h(), Q = y_.shape.w();
    ref::for_each(x_shape_, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
      const Range ps = rows_.outputs_of(h), qs = columns_.outputs_of(w);
      double sum = 0;
      for (int64_t p = ps.first; p < ps.end; ++p)
        for (int64_t q = qs.first; q < qs.end; ++q) {
          if (!max_)
            sum += double{dy(n, c, p, q)} /
                   static_cast<double>(area(rows_.inputs_of(p), columns_.inputs_of(q)));
          else if (index[((n * C + c) * P + p) * Q + q] == h * x_shape_.w() + w)
            sum += dy(n, c, p, q);
        }
      dx(n, c, h, w) = static_cast<T>(sum);
    });
  }

 private:
  static int64_t area(Range rows, Range columns) {
    return (rows.end - rows.first) * (columns.end - columns.first);
  }

  const bool max_, backward_;
  const Shape x_shape_;
  const Axis rows_, columns_;
};

}  // namespace

std::unique_ptr<Pool2dPlan> RefBackend::make_pool2d(const Pool2dSpec& spec) {
  check_spec(spec, "pool2d");
  return ref::make_plan<Pool2dPlan, RefPool2d>(spec);
}

std::unique_ptr<Pool2dPlan> RefBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& spec) {
  FT_CHECK(spec.p >= 1 && spec.q >= 1, "adaptive pooling needs an output");
  return ref::make_plan<Pool2dPlan, RefPool2d>(spec);
}

}  // namespace ft
