// Lesson 3: the statistics of a batch-norm (tensor/cuda/batchnorm2d.cu).
//
// variance = mean of (x - mean)^2. Taken literally that reads x twice, once for the mean; and a batch-norm waits for
// memory. Algebra offers variance = mean of x^2 - (mean of x)^2, which reads x once. It is a trap: where the mean is
// large against the deviation, two large numbers that agree in all their digits are subtracted, and what is left is
// noise. The naive kernel shows it with a mean of 300 and a deviation of 0.6.
//
// The backend reads x once and keeps its digits: it sums d = x - shift and d^2, with the channel's first element as the
// shift, which lies within the data. mean = shift + mean of d, variance = mean of d^2 - (mean of d)^2; the same algebra,
// but of small numbers. The sums are those of lesson 2, their ends in double.
#include "bench/kernels/lesson.h"

namespace {

using namespace ft;  // NOLINT

constexpr int64_t kPixels = 5'000, kChannels = 16;

// 1/deviation of each channel.
std::vector<float> plain_loop(const std::vector<float>& x, double epsilon) {
  std::vector<float> inverse;
  for (size_t c = 0; c < kChannels; ++c) {
    double mean = 0, variance = 0;
    for (size_t i = c; i < x.size(); i += kChannels) mean += static_cast<double>(x[i]) / kPixels;
    for (size_t i = c; i < x.size(); i += kChannels)
      variance += std::pow(static_cast<double>(x[i]) - mean, 2) / kPixels;
    inverse.push_back(static_cast<float>(1 / std::sqrt(variance + epsilon)));
  }
  return inverse;
}

__global__ void naive_kernel(const float* x, int64_t pixels, int64_t channels, float epsilon,
                             float* inverse) {
  const int64_t c = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (c >= channels) return;
  float sum = 0, squares = 0;
  for (int64_t p = 0; p < pixels; ++p) {
    const float v = x[p * channels + c];
    sum += v;
    squares += v * v;
  }
  const float m = static_cast<float>(pixels), mean = sum / m;
  inverse[c] = 1 / sqrtf(fmaxf(squares / m - mean * mean, 0) + epsilon);
}

}  // namespace

int main() {
  lesson::Lesson l("the statistics of a batch-norm");
  auto values = lesson::drawn(kPixels * kChannels, 1);
  for (float& v : values) v += 300;
  BatchNorm2dSpec spec;
  spec.x = {{1, kChannels, kPixels / 50, 50}, DType::f32, Layout::nhwc};
  spec.passes = {true, true};
  const auto plan = l.backend().make_batchnorm2d(spec);
  const TensorSpec vector{{kChannels}, DType::f32, Layout::plain};
  const std::vector<float> ones(kChannels, 1), zeros(kChannels, 0);
  const BatchNormParams params{l.holding(vector, ones), l.holding(vector, zeros),
                               l.holding(vector, zeros), l.holding(vector, ones)};
  const Tensor x = l.holding(spec.x, values), y = l.tensor(spec.x), naive = l.floats(kChannels);
  // Forward leaves mean and 1/deviation of each channel for backward.
  const auto floats = static_cast<int64_t>(plan->aux_bytes() / sizeof(float));
  const Tensor aux = l.floats(floats);
  const Tensor workspace =
      l.tensor({{static_cast<int64_t>(plan->workspace_bytes())}, DType::u8, Layout::plain});

  const auto run_naive = [&] {
    cuda::launch(l.native(), dim3(1), dim3(32), naive_kernel, x.as<float>(), kPixels, kChannels,
                 static_cast<float>(spec.epsilon), naive.as<float>());
  };
  const auto run_final = [&] { plan->forward(l.stream(), x, {}, params, y, aux, workspace); };
  run_naive();
  run_final();
  const auto wanted = plain_loop(values, spec.epsilon);
  const auto kept = l.host(aux);
  const std::vector<float> inverse(kept.begin() + kChannels, kept.begin() + 2 * kChannels);
  l.expect_wrong("naive kernel: the variance is noise", l.host(naive), wanted, 1e-3);
  l.expect("the backend's kernels", inverse, wanted, 1e-5);
  l.time("naive kernel: statistics alone", run_naive);
  l.time("the backend's kernels: statistics and y", run_final);
  return l.status();
}
