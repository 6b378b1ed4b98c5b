// Convolution by its definition. Letters: N batch, C in-channels, H W input, K out-channels, R S
// kernel, P Q output, G groups. Input row h, kernel row r and output row p belong together when h =
// p*stride_h - pad_h + r; columns (v in the input, s, q) likewise.
#include "tensor/ref/ref.h"

namespace ft {
namespace {

template <class T>
class RefConv2d final : public ref::RefPlan<Conv2dPlan> {
 public:
  explicit RefConv2d(const Conv2dSpec& spec)
      : RefPlan({spec.y_shape(), spec.x.dtype, Layout::plain}), a_(spec) {}

  // y[n,k,p,q] = sum over c,r,s of w[k,c,r,s] * x[n, g*C/G + c, p*stride_h - pad_h + r, ...]
  //              (+ residual[n,k,p,q]) (+ b[k]) (max(0, .)), g the group of k; x is 0 in the
  //              border.
  void forward(StreamRef, const Tensor& x_in, const Weights& weights, const Tensor& residual_in,
               const Tensor& y_out, const Tensor&) override {
    const View x(x_in, a_.x.shape), w(weights.w, a_.weight_shape()), b(weights.b, {a_.k}),
        residual(residual_in, y_.shape), y(y_out, y_.shape);
    FT_CHECK(!!b == a_.bias && !!residual == a_.add_residual, "bias or residual against the spec");
    ref::for_each(y_.shape, [&](int64_t n, int64_t k, int64_t p, int64_t q) {
      double sum = 0;
      for (int64_t r = 0; r < a_.r; ++r)
        for (int64_t s = 0; s < a_.s; ++s) {
          const int64_t h = p * a_.stride_h - a_.pad_h + r, v = q * a_.stride_w - a_.pad_w + s;
          if (!inside(h, v)) continue;
          for (int64_t c = 0; c < cg_; ++c)
            sum += double{w(k, c, r, s)} * x(n, k / kg_ * cg_ + c, h, v);
        }
      if (residual) sum += residual(n, k, p, q);
      if (b) sum += b(k);
      y(n, k, p, q) = static_cast<T>(a_.relu ? ref::relu(sum) : sum);
    });
  }

  // dx[n,c,h,v] = sum over r,s and the k of c's group of w[k,c',r,s] * dy[n,k,p,q], c' = c % (C/G),
  //               p = (h + pad_h - r) / stride_h where that is a whole number in 0 ... P-1, q
  //               likewise.
  void backward_data(StreamRef, const Tensor& dy_in, const Weights& weights, const Tensor& dx_out,
                     const Tensor&) override {
    const View dy(dy_in, y_.shape), w(weights.w, a_.weight_shape()), dx(dx_out, a_.x.shape);
    ref::for_each(a_.x.shape, [&](int64_t n, int64_t c, int64_t h, int64_t v) {
      double sum = 0;
      const int64_t first = c / cg_ * kg_;
      for (int64_t r = 0; r < a_.r; ++r)
        for (int64_t s = 0; s < a_.s; ++s) {
          const int64_t top = h + a_.pad_h - r, left = v + a_.pad_w - s;
          if (!begins_window(top, left)) continue;
          const int64_t p = top / a_.stride_h, q = left / a_.stride_w;
          for (int64_t k = first; k < first + kg_; ++k)
            sum += double{w(k, c % cg_, r, s)} * dy(n, k, p, q);
        }
      dx(n, c, h, v) = static_cast<T>(sum);
    });
  }

  // dw[k,c,r,s] = sum over n,p,q of dy[n,k,p,q] * x[n, g*C/G + c, p*stride_h - pad_h + r, ...]
  // db[k]       = sum over n,p,q of dy[n,k,p,q]
  void backward_weights(StreamRef, const Tensor& x_in, const Tensor& dy_in, const Tensor& dw_out,
                        const Tensor& db_out, const Tensor&) override {
    const View x(x_in, a_.x.shape), dy(dy_in, y_.shape), dw(dw_out, a_.weight_shape()),
        db(db_out, {a_.k});
    const auto dw_element = [&](int64_t k, int64_t c, int64_t r, int64_t s) {
      return ref::sum_over_channel(y_.shape, [&](int64_t n, int64_t p, int64_t q) -> double {
        const int64_t h = p * a_.stride_h - a_.pad_h + r, v = q * a_.stride_w - a_.pad_w + s;
        return inside(h, v) ? double{dy(n, k, p, q)} * x(n, k / kg_ * cg_ + c, h, v) : 0;
      });
    };
    if (dw)
      ref::for_each(a_.weight_shape(), [&](int64_t k, int64_t c, int64_t r, int64_t s) {
        dw(k, c, r, s) = static_cast<T>(dw_element(k, c, r, s));
      });
    for (int64_t k = 0; db && k < a_.k; ++k)
      db(k) = static_cast<T>(ref::sum_over_channel(
          y_.shape, [&](int64_t n, int64_t p, int64_t q) { return dy(n, k, p, q); }));
  }

 private:
  using View = ref::View<T>;

  // Whether row h and column v are elements of x and not of its border.
  bool inside(int64_t h, int64_t v) const {
    return h >= 0 && h < a_.x.shape.h() && v >= 0 && v < a_.x.shape.w();
  }
  // Whether a window begins at this row and column of the padded input.
  bool begins_window(int64_t top, int64_t left) const {
    return top >= 0 && top % a_.stride_h == 0 && top / a_.stride_h < y_.shape.h() && left >= 0 &&
           left % a_.stride_w == 0 && left / a_.stride_w < y_.shape.w();
  }

  const Conv2dSpec a_;
  const int64_t cg_ = a_.x.shape.c() / a_.groups, kg_ = a_.k / a_.groups;  // channels of one group
};

}  // namespace

std::unique_ptr<Conv2dPlan> RefBackend::make_conv2d(const Conv2dSpec& spec) {
  check_spec(spec, "conv2d");
  return ref::make_plan<Conv2dPlan, RefConv2d>(spec);
}

}  // namespace ft
