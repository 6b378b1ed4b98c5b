// Local response normalisation by its definition. x {N,C,H,W}; the window of channel c is
// c - size/2 ... c + size/2, cut at the borders.
#include <algorithm>
#include <cmath>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

template <class T>
class RefLrn final : public ref::RefPlan<LrnPlan> {
 public:
  explicit RefLrn(const LrnSpec& spec) : RefPlan(spec.x), a_(spec) {}

  // scale[c] = k + alpha / size * sum of x[j]^2 over the window of c;  y[c] = x[c] * scale[c]^-beta
  void forward(StreamRef, const Tensor& x_in, const Tensor& y_out, const Tensor&,
               const Tensor&) override {
    const View x(x_in, y_.shape), y(y_out, y_.shape);
    ref::for_each(y_.shape, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
      y(n, c, h, w) = static_cast<T>(x(n, c, h, w) * std::pow(scale(x, n, c, h, w), -a_.beta));
    });
  }

  // dx[c] = dy[c] * scale[c]^-beta
  //         - 2 * alpha * beta / size * x[c] * sum of dy[j] * x[j] * scale[j]^(-beta - 1)
  // over the j whose window holds c, which is the window of c.
  void backward_data(StreamRef, const Tensor& x_in, const Tensor& dy_in, const Tensor&,
                     const Tensor& dx_out, const Tensor&) override {
    const View x(x_in, y_.shape), dy(dy_in, y_.shape), dx(dx_out, y_.shape);
    const double factor = 2 * a_.alpha * a_.beta / static_cast<double>(a_.size);
    ref::for_each(y_.shape, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
      double sum = 0;
      for (int64_t j = first(c); j < end(c); ++j)
        sum +=
            double{dy(n, j, h, w)} * x(n, j, h, w) * std::pow(scale(x, n, j, h, w), -a_.beta - 1);
      const double direct = dy(n, c, h, w) * std::pow(scale(x, n, c, h, w), -a_.beta);
      dx(n, c, h, w) = static_cast<T>(direct - factor * x(n, c, h, w) * sum);
    });
  }

 private:
  using View = ref::View<T>;

  int64_t first(int64_t c) const { return std::max<int64_t>(c - a_.size / 2, 0); }
  int64_t end(int64_t c) const { return std::min(c + a_.size / 2 + 1, a_.x.shape.c()); }

  double scale(const View& x, int64_t n, int64_t c, int64_t h, int64_t w) const {
    double squares = 0;
    for (int64_t j = first(c); j < end(c); ++j) squares += double{x(n, j, h, w)} * x(n, j, h, w);
    return a_.k + a_.alpha / static_cast<double>(a_.size) * squares;
  }

  const LrnSpec a_;
};

}  // namespace

std::unique_ptr<LrnPlan> RefBackend::make_lrn(const LrnSpec& spec) {
  FT_CHECK(spec.size >= 1 && spec.size % 2 == 1, "the window of an LRN has an odd size");
  return ref::make_plan<LrnPlan, RefLrn>(spec);
}

}  // namespace ft
