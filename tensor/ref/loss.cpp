// Softmax cross-entropy by its definition, in the form that cannot overflow. logits {N,C}.
#include <algorithm>
#include <cmath>

#include "tensor/ref/ref.h"

namespace ft {
namespace {

int64_t checked_label(const Tensor& labels, int64_t n, int64_t classes) {
  const int64_t label = labels.as<int32_t>()[n];
  FT_CHECK(label >= -1 && label < classes, "a label is not -1 and not a class");
  return label;
}

}  // namespace

// top = max over c of logits[n,c];  total = sum over c of exp(logits[n,c] - top)
// probability[n,c] = exp(logits[n,c] - top) / total
// loss[n] = log(total) - (logits[n,label] - top), 0 where label is -1
void RefBackend::softmax_cross_entropy_forward(StreamRef, const Tensor& logits_in,
                                               const Tensor& labels, const Tensor& loss_out,
                                               const Tensor& probability_out) {
  ref::with_scalar(logits_in.spec().dtype, [&](auto scalar) {
    using T = decltype(scalar);
    const int64_t N = logits_in.shape().n(), C = logits_in.shape().per_sample();
    const ref::View<T> logits(logits_in, {N, C}), loss(loss_out, {N}),
        probability(probability_out, {N, C});
    for (int64_t n = 0; n < N; ++n) {
      double top = logits(n, 0), total = 0;
      for (int64_t c = 1; c < C; ++c) top = std::max<double>(top, logits(n, c));
      for (int64_t c = 0; c < C; ++c) total += std::exp(logits(n, c) - top);
      for (int64_t c = 0; c < C; ++c)
        probability(n, c) = static_cast<T>(std::exp(logits(n, c) - top) / total);
      const int64_t label = checked_label(labels, n, C);
      loss(n) = label < 0 ? T{0} : static_cast<T>(std::log(total) - (logits(n, label) - top));
    }
  });
}

// dlogits[n,c] = dloss[n] * (probability[n,c] - (1 if c is the label)), 0 where label is -1
void RefBackend::softmax_cross_entropy_backward(StreamRef, const Tensor& probability_in,
                                                const Tensor& labels, const Tensor& dloss_in,
                                                const Tensor& dlogits_out) {
  ref::with_scalar(dlogits_out.spec().dtype, [&](auto scalar) {
    using T = decltype(scalar);
    const int64_t N = dlogits_out.shape().n(), C = dlogits_out.shape().per_sample();
    const ref::View<T> probability(probability_in, {N, C}), dloss(dloss_in, {N}),
        dlogits(dlogits_out, {N, C});
    for (int64_t n = 0; n < N; ++n) {
      const int64_t label = checked_label(labels, n, C);
      for (int64_t c = 0; c < C; ++c) {
        const double slope = double{probability(n, c)} - (c == label ? 1 : 0);
        dlogits(n, c) = label < 0 ? T{0} : static_cast<T>(dloss(n) * slope);
      }
    }
  });
}

}  // namespace ft
