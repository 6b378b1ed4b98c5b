// Batch normalisation by its definition; sums run over the M = N*H*W values of a channel.
// aux: mean[c] and 1/deviation[c] in f64, then, with ReLU, one byte an element: 1 where y > 0.
#include <algorithm>
#include <cmath>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

template <class T>
class RefBatchNorm2d final : public ref::RefPlan<BatchNorm2dPlan> {
 public:
  explicit RefBatchNorm2d(const BatchNorm2dSpec& spec) : RefPlan(spec.x), a_(spec) {}

  size_t aux_bytes() const override {
    const size_t mask = a_.relu ? static_cast<size_t>(y_.shape.elements()) : 0;
    return a_.passes.any_backward() ? 2 * sizeof(double) * static_cast<size_t>(C) + mask : 0;
  }

  // mode batch:  mean = sum(x) / M, variance = sum((x - mean)^2) / M;
  //              running = (1 - momentum) * running + momentum * (mean, variance * M / (M - 1))
  // otherwise:   mean, variance = the running ones
  // y = gamma * (x - mean) / sqrt(variance + epsilon) + beta (+ residual) (max(0, .))
  void forward(StreamRef, const Tensor& x_in, const Tensor& residual_in, const BatchNormParams& p,
               const Tensor& y_out, const Tensor& aux, const Tensor&) override {
    const View x(x_in, y_.shape), residual(residual_in, y_.shape), y(y_out, y_.shape),
        gamma(p.gamma, {C}), beta(p.beta, {C}), running_mean(p.running_mean, {C}),
        running_var(p.running_var, {C});
    FT_CHECK(!!residual == a_.add_residual, "residual against the spec");
    const bool keep = aux_bytes() != 0;
    for (int64_t c = 0; c < C; ++c) {
      double mean = running_mean(c), variance = running_var(c);
      if (a_.mode == BnMode::batch) {
        mean = sum([&](int64_t n, int64_t h, int64_t w) { return x(n, c, h, w); }) / M;
        variance = sum([&](int64_t n, int64_t h, int64_t w) {
                     return std::pow(x(n, c, h, w) - mean, 2);
                   }) /
                   M;
        const double m = a_.momentum, unbiased = variance * M / std::max(M - 1, 1.0);
        running_mean(c) = static_cast<T>((1 - m) * running_mean(c) + m * mean);
        running_var(c) = static_cast<T>((1 - m) * running_var(c) + m * unbiased);
      }
      const double inverse = 1 / std::sqrt(variance + a_.epsilon);
      if (keep) means(aux)[c] = mean, inverses(aux)[c] = inverse;
      each([&](int64_t n, int64_t h, int64_t w) {
        double v = gamma(c) * ((x(n, c, h, w) - mean) * inverse) + beta(c);
        if (residual) v += residual(n, c, h, w);
        if (a_.relu && keep) mask(aux)[y_.offset(n, c, h, w)] = v > 0;
        y(n, c, h, w) = static_cast<T>(a_.relu ? ref::relu(v) : v);
      });
    }
  }

  // dz = dy where y > 0 (ReLU), else dy;  xhat = (x - mean) / deviation
  // dresidual = dz;  dbeta = sum(dz);  dgamma = sum(dz * xhat)
  // mode batch:  dx = gamma / deviation * (dz - dbeta / M - xhat * dgamma / M)
  // otherwise:   dx = gamma / deviation * dz
  void backward(StreamRef, const Tensor& x_in, const Tensor& dy_in, const BatchNormParams& p,
                const Tensor& aux, const BatchNormGradients& g, const Tensor&) override {
    const View x(x_in, y_.shape), dy(dy_in, y_.shape), gamma(p.gamma, {C}), dx(g.dx, y_.shape),
        dresidual(g.dresidual, y_.shape), dgamma(g.dgamma, {C}), dbeta(g.dbeta, {C});
    const double share = a_.mode == BnMode::batch ? 1 / M : 0;
    for (int64_t c = 0; c < C; ++c) {
      const double mean = means(aux)[c], inverse = inverses(aux)[c];
      const auto dz = [&](int64_t n, int64_t h, int64_t w) -> double {
        return a_.relu && mask(aux)[y_.offset(n, c, h, w)] == 0 ? 0 : dy(n, c, h, w);
      };
      const auto xhat = [&](int64_t n, int64_t h, int64_t w) {
        return (x(n, c, h, w) - mean) * inverse;
      };
      const double b = sum(dz), a = sum([&](int64_t n, int64_t h, int64_t w) {
                                  return dz(n, h, w) * xhat(n, h, w);
                                });
      if (dbeta) dbeta(c) = static_cast<T>(b);
      if (dgamma) dgamma(c) = static_cast<T>(a);
      each([&](int64_t n, int64_t h, int64_t w) {
        const double d = dz(n, h, w), centred = d - share * (b + xhat(n, h, w) * a);
        if (dresidual) dresidual(n, c, h, w) = static_cast<T>(d);
        if (dx) dx(n, c, h, w) = static_cast<T>(gamma(c) * inverse * centred);
      });
    }
  }

 private:
  using View = ref::View<T>;
  template <class Fn>
  double sum(Fn term) const {
    return ref::sum_over_channel(y_.shape, term);
  }
  template <class Fn>
  void each(Fn fn) const {
    sum([&](int64_t n, int64_t h, int64_t w) { return fn(n, h, w), 0; });
  }
  static double* means(const Tensor& aux) { return static_cast<double*>(aux.data()); }
  double* inverses(const Tensor& aux) const { return means(aux) + C; }
  uint8_t* mask(const Tensor& aux) const { return reinterpret_cast<uint8_t*>(inverses(aux) + C); }

  const BatchNorm2dSpec a_;
  const int64_t C = a_.x.shape.c();
  const double M = static_cast<double>(a_.x.shape.n() * a_.x.shape.h() * a_.x.shape.w());
};

}  // namespace

std::unique_ptr<BatchNorm2dPlan> RefBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  return ref::make_plan<BatchNorm2dPlan, RefBatchNorm2d>(spec);
}

}  // namespace ft
