// Softmax cross-entropy. A row is a few to a few thousand classes: one thread a row, sums in order.
#include "tensor/ops/loss.h"

#include <algorithm>
#include <cmath>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

void check_shapes(const Tensor& rows, const Tensor& labels, const Tensor& per_sample) {
  const int64_t n = rows.shape().n();
  FT_CHECK(rows.spec().layout == Layout::plain && labels.shape().elements() == n &&
               per_sample.shape().elements() == n,
           "softmax cross-entropy of " + rows.spec().str() + " with labels " + labels.spec().str());
}

// probability[c] = exp(x[c] - max) / sum of them; gives log(sum) + max.
template <class T>
double softmax(const T* x, int64_t classes, float* probability) {
  float max = cpu::load(x[0]);
  for (int64_t c = 1; c < classes; ++c) max = std::max(max, cpu::load(x[c]));
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) {
    probability[c] = std::exp(cpu::load(x[c]) - max);
    sum += probability[c];
  }
  const float inverse = static_cast<float>(1 / sum);
  for (int64_t c = 0; c < classes; ++c) probability[c] *= inverse;
  return std::log(sum) + max;
}

}  // namespace

// loss = -log probability[label] = log(sum of exp) - x[label], which stays finite where p rounds to
// 0.
void CpuBackend::softmax_cross_entropy_forward(StreamRef, const Tensor& logits,
                                               const Tensor& labels, const Tensor& loss,
                                               const Tensor& probability) {
  check_shapes(logits, labels, loss);
  const int64_t classes = logits.shape().per_sample();
  const int32_t* label = labels.as<int32_t>();
  float* losses = loss.as<float>();
  cpu::with_element(logits.spec().dtype, [&](auto element) {
    const auto* x = cpu::data_of<decltype(element)>(logits);
    const int64_t grain = std::max<int64_t>(1, cpu::kGrain / classes);
    cpu::parallel_for(threads_, logits.shape().n(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const auto* row = x + n * classes;
        const double log_sum = softmax(row, classes, probability.as<float>() + n * classes);
        losses[n] = label[n] < 0 ? 0.f : static_cast<float>(log_sum - cpu::load(row[label[n]]));
      }
    });
  });
}

void CpuBackend::softmax_cross_entropy_backward(StreamRef, const Tensor& probability,
                                                const Tensor& labels, const Tensor& dloss,
                                                const Tensor& dlogits) {
  check_shapes(probability, labels, dloss);
  const int64_t classes = probability.shape().per_sample();
  const int32_t* label = labels.as<int32_t>();
  const float* weight = dloss.as<float>();
  cpu::with_element(dlogits.spec().dtype, [&](auto element) {
    auto* dx = cpu::data_of<decltype(element)>(dlogits);
    const int64_t grain = std::max<int64_t>(1, cpu::kGrain / classes);
    cpu::parallel_for(threads_, probability.shape().n(), grain, [&](int64_t begin, int64_t end) {
      for (int64_t n = begin; n < end; ++n) {
        const float* p = probability.as<float>() + n * classes;
        for (int64_t c = 0; c < classes; ++c) {
          const float target = c == label[n] ? 1.f : 0.f;
          cpu::store(dx[n * classes + c], label[n] < 0 ? 0.f : weight[n] * (p[c] - target));
        }
      }
    });
  });
}

}  // namespace ft
