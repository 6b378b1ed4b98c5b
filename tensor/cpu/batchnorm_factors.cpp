// Batch normalisation per channel.
#include "tensor/cpu/batchnorm_factors.h"

#include <algorithm>
#include <cmath>

namespace ft::cpu {

float inverse_deviation(double variance, double epsilon) {
  return static_cast<float>(1 / std::sqrt(variance + epsilon));
}

BnFactors bn_factors(const BatchNormParams& params, const ChannelRange& range, const float* mean,
                     const float* inverse) {
  BnFactors f{};
  for (int64_t l = 0; l < range.count; ++l) {
    f.mean[l] = mean[l];
    f.inverse[l] = inverse[l];
    f.scale[l] = params.gamma.as<float>()[range.first + l] * inverse[l];
    f.beta[l] = params.beta.as<float>()[range.first + l];
  }
  return f;
}

BnFactors bn_running_factors(const BatchNormParams& params, const ChannelRange& range,
                             double epsilon) {
  float inverse[kMaxLanes];
  const float* variance = params.running_var.as<float>() + range.first;
  for (int64_t l = 0; l < range.count; ++l) inverse[l] = inverse_deviation(variance[l], epsilon);
  return bn_factors(params, range, params.running_mean.as<float>() + range.first, inverse);
}

// Source: Chan, Golub & LeVeque 1979, formula 2.1 for the union of two sets.
BnMoments united(const BnMoments* parts, int64_t count) {
  BnMoments all{};
  for (int64_t i = 0; i < count; ++i) {
    if (parts[i].count == 0) continue;
    const double total = all.count + parts[i].count, weight = parts[i].count / total;
    for (int l = 0; l < kMaxLanes; ++l) {
      const double delta = parts[i].mean[l] - all.mean[l];
      all.mean[l] += delta * weight;
      all.m2[l] += parts[i].m2[l] + delta * delta * all.count * weight;
    }
    all.count = total;
  }
  return all;
}

BnSums united(const BnSums* parts, int64_t count) {
  BnSums all{};
  for (int64_t i = 0; i < count; ++i)
    for (int l = 0; l < kMaxLanes; ++l) {
      all.g[l] += parts[i].g[l];
      all.gx[l] += parts[i].gx[l];
    }
  return all;
}

void bn_move_running(const BatchNormParams& params, const ChannelRange& range, const BnMoments& m,
                     double momentum) {
  const auto move = [&](float& running, double value) {
    running = static_cast<float>((1 - momentum) * running + momentum * value);
  };
  for (int64_t l = 0; l < range.count; ++l) {
    move(params.running_mean.as<float>()[range.first + l], m.mean[l]);
    move(params.running_var.as<float>()[range.first + l], m.m2[l] / std::max(1.0, m.count - 1));
  }
}

void bn_write_gradients(const BatchNormGradients& to, const ChannelRange& range, const BnFactors& f,
                        const BnSums& sums) {
  for (int64_t l = 0; l < range.count; ++l) {
    const int64_t c = range.first + l;
    if (!to.dbeta.empty()) to.dbeta.as<float>()[c] = static_cast<float>(sums.g[l]);
    if (!to.dgamma.empty())
      to.dgamma.as<float>()[c] = static_cast<float>(sums.gx[l] * f.inverse[l]);
  }
}

void bn_add_statistics_gradient(BnFactors& f, const ChannelRange& range, const BnSums& sums,
                                double m) {
  for (int64_t l = 0; l < range.count; ++l) {
    const double inverse = f.inverse[l];
    f.a[l] = static_cast<float>(f.scale[l] * sums.g[l] / m);
    f.b[l] = static_cast<float>(f.scale[l] * inverse * inverse * sums.gx[l] / m);
  }
}

}  // namespace ft::cpu
