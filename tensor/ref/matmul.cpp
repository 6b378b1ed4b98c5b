// The fully connected layer by its definition. N batch, I in-features, O out-features.
#include "tensor/ref/ref.h"

namespace ft {
namespace {

template <class T>
class RefMatmul final : public ref::RefPlan<MatmulPlan> {
 public:
  explicit RefMatmul(const MatmulSpec& spec)
      : RefPlan({spec.y_shape(), spec.x.dtype, Layout::plain}),
        relu_(spec.relu),
        bias_(spec.bias),
        n_(spec.x.shape.n()),
        in_(spec.in()),
        out_(spec.out) {}

  // y[n,o] = sum over i of w[o,i] * x[n,i] (+ b[o]) (max(0, .))
  void forward(StreamRef, const Tensor& x_in, const Weights& weights, const Tensor& y_out,
               const Tensor&) override {
    const View x(x_in, {n_, in_}), w(weights.w, {out_, in_}), b(weights.b, {out_}),
        y(y_out, {n_, out_});
    FT_CHECK(!!b == bias_, "bias against the spec");
    for (int64_t n = 0; n < n_; ++n)
      for (int64_t o = 0; o < out_; ++o) {
        double sum = 0;
        for (int64_t i = 0; i < in_; ++i) sum += double{w(o, i)} * x(n, i);
        if (b) sum += b(o);
        y(n, o) = static_cast<T>(relu_ ? ref::relu(sum) : sum);
      }
  }

  // dx[n,i] = sum over o of w[o,i] * dy[n,o]
  void backward_data(StreamRef, const Tensor& dy_in, const Weights& weights, const Tensor& dx_out,
                     const Tensor&) override {
    const View dy(dy_in, {n_, out_}), w(weights.w, {out_, in_}), dx(dx_out, {n_, in_});
    for (int64_t n = 0; n < n_; ++n)
      for (int64_t i = 0; i < in_; ++i) {
        double sum = 0;
        for (int64_t o = 0; o < out_; ++o) sum += double{w(o, i)} * dy(n, o);
        dx(n, i) = static_cast<T>(sum);
      }
  }

  // dw[o,i] = sum over n of dy[n,o] * x[n,i];  db[o] = sum over n of dy[n,o]
  void backward_weights(StreamRef, const Tensor& x_in, const Tensor& dy_in, const Tensor& dw_out,
                        const Tensor& db_out, const Tensor&) override {
    const View x(x_in, {n_, in_}), dy(dy_in, {n_, out_}), dw(dw_out, {out_, in_}),
        db(db_out, {out_});
    for (int64_t o = 0; o < out_; ++o) {
      for (int64_t i = 0; dw && i < in_; ++i) {
        double sum = 0;
        for (int64_t n = 0; n < n_; ++n) sum += double{dy(n, o)} * x(n, i);
        dw(o, i) = static_cast<T>(sum);
      }
      double sum = 0;
      for (int64_t n = 0; n < n_; ++n) sum += dy(n, o);
      if (db) db(o) = static_cast<T>(sum);
    }
  }

 private:
  using View = ref::View<T>;
  const bool relu_, bias_;
  const int64_t n_, in_, out_;
};

}  // namespace

std::unique_ptr<MatmulPlan> RefBackend::make_matmul(const MatmulSpec& spec) {
  FT_CHECK(spec.y_dtype == spec.x.dtype, "ref computes the product in the type of x");
  return ref::make_plan<MatmulPlan, RefMatmul>(spec);
}

}  // namespace ft
