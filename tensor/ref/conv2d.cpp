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
  //              (+ residual[n,k,p,q]) (+ b[k]) (max(0, .)), g the group of k.
  void forward(StreamRef, const Tensor& x_in, const Weights& weights, const Tensor& residual_in,
               const Tensor& y_out, const Tensor&) override {
    const View x(x_in, a_.x.shape), w(weights.w, a_.weight_shape()), b(weights.b, {a_.k}),
        residual(residual_in, y_.shape), y(y_out, y_.shape);
    FT_CHECK(!!b == a_.bias && !!residual == a_.add_residual, "bias or residual against the spec");
    ref::for_each(y_.shape, [&](int64_t n, int64_t k, int64_t p, int64_t q) {
      double sum = 0;
      for (int64_t c = 0; c < cg_; ++c)
        for (int64_t r = 0; r < a_.r; ++r)
          for (int64_t s = 0; s < a_.s; ++s)
            sum += w(k, c, r, s) * x_tap(x, n, k / kg_ * cg_ + c, p, q, r, s);
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
      for (int64_t k = c / cg_ * kg_; k < (c / cg_ + 1) * kg_; ++k)
        for (int64_t r = 0; r < a_.r; ++r)
          for (int64_t s = 0; s < a_.s; ++s)
            sum += w(k, c % cg_, r, s) * dy_tap(dy, n, k, h + a_.pad_h - r, v + a_.pad_w - s);
      dx(n, c, h, v) = static_cast<T>(sum);
    });
  }

  // dw[k,c,r,s] = sum over n,p,q of dy[n,k,p,q] * x[n, g*C/G + c, p*stride_h - pad_h + r, ...]
  // db[k]       = sum over n,p,q of dy[n,k,p,q]
  void backward_weights(StreamRef, const Tensor& x_in, const Tensor& dy_in, const Tensor& dw_out,
                        const Tensor& db_out, const Tensor&) override {
    const View x(x_in, a_.x.shape), dy(dy_in, y_.shape), dw(dw_out, a_.weight_shape()),
        db(db_out, {a_.k});
    if (dw)
      ref::for_each(a_.weight_shape(), [&](int64_t k, int64_t c, int64_t r, int64_t s) {
        dw(k, c, r, s) =
            static_cast<T>(ref::sum_over_channel(y_.shape, [&](int64_t n, int64_t p, int64_t q) {
              return dy(n, k, p, q) * x_tap(x, n, k / kg_ * cg_ + c, p, q, r, s);
            }));
      });
    for (int64_t k = 0; db && k < a_.k; ++k)
      db(k) = static_cast<T>(ref::sum_over_channel(
          y_.shape, [&](int64_t n, int64_t p, int64_t q) { return dy(n, k, p, q); }));
  }

 private:
  using View = ref::View<T>;

  // What kernel tap r,s of output p,q reads of channel c: 0 in the border.
  double x_tap(const View& x, int64_t n, int64_t c, int64_t p, int64_t q, int64_t r,
               int64_t s) const {
    const int64_t h = p * a_.stride_h - a_.pad_h + r, v = q * a_.stride_w - a_.pad_w + s;
    return h < 0 || h >= a_.x.shape.h() || v < 0 || v >= a_.x.shape.w() ? 0 : x(n, c, h, v);
  }

  // dy of the window that begins at row `top` and column `left` of the padded input: 0 where none
  // does.
  double dy_tap(const View& dy, int64_t n, int64_t k, int64_t top, int64_t left) const {
    if (top < 0 || top % a_.stride_h != 0 || top / a_.stride_h >= y_.shape.h()) return 0;
    if (left < 0 || left % a_.stride_w != 0 || left / a_.stride_w >= y_.shape.w()) return 0;
    return dy(n, k, top / a_.stride_h, left / a_.stride_w);
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
