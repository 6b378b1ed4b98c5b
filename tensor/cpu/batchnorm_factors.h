// The arithmetic of batch normalisation per channel, between the two passes over the data: from
// sums to what elements are multiplied with. Plain functions of their arguments.
#pragma once

#include "tensor/cpu/kernels.h"
#include "tensor/ops/batchnorm2d.h"

namespace ft::cpu {

// The channels of one block: lanes 0 .. count-1 are channels first, first+1, …; the other lanes are
// padding.
struct ChannelRange {
  int64_t first, count;
};

// 1/deviation from a variance, in double and rounded once.
float inverse_deviation(double variance, double epsilon);

// mean and inverse are those of the range; padding lanes get zeros.
BnFactors bn_factors(const BatchNormParams& params, const ChannelRange& range, const float* mean,
                     const float* inverse);
BnFactors bn_running_factors(const BatchNormParams& params, const ChannelRange& range,
                             double epsilon);

// The moments of all parts together.
BnMoments united(const BnMoments* parts, int64_t count);

// Moves the running statistics by the batch's, with the unbiased variance.
void bn_move_running(const BatchNormParams& params, const ChannelRange& range, const BnMoments& m,
                     double momentum);

// dgamma and dbeta (empty ones are passed over) from the sums of all parts.
//   dbeta = sum g, dgamma = sum g * (x - mean) * inverse, with g = dy behind the ReLU
void bn_write_gradients(const BatchNormGradients& to, const ChannelRange& range, const BnFactors& f,
                        const BnSums& sums);

// Adds the gradient of the batch statistics over m positions to the factors of
//   dx = gamma * inverse * (g - dbeta / m - (x - mean) * inverse * dgamma / m)
void bn_add_statistics_gradient(BnFactors& f, const ChannelRange& range, const BnSums& sums,
                                double m);
BnSums united(const BnSums* parts, int64_t count);

}  // namespace ft::cpu
