// Lesson 1: the update of SGD (tensor/cuda/update.cu).
//
// Every weight is read, changed and written; nothing is used twice. Such a kernel has one limit, memory, and two ways of
// missing it: asking for it in small pieces, and asking for more than it needs.
//
// The naive kernel handles one float a thread and takes the rate as an argument. It is right when it is launched. But a
// step is recorded once and replayed as a CUDA graph, arguments included: after the rate drops it goes on with the old
// one. The backend's kernel
//   - moves 16 bytes a load, four weights a thread: fewer instructions for the same bytes;
//   - loops over the range, so that one grid serves every size;
//   - reads the rate from the step state in device memory, so that a replay sees the value of its step;
//   - reads there, too, whether a loss was not finite, and then leaves every weight as it is.
#include <bit>

#include "bench/kernels/lesson.h"

namespace {

using namespace ft;  // NOLINT

constexpr int64_t kCount = 100'003;  // no multiple of anything
constexpr float kMomentum = 0.9f, kDecay = 1e-4f;

// The definition (tensor/ops/update.h, rule caffe).
void plain_loop(float rate, const std::vector<float>& g, std::vector<float>& v,
                std::vector<float>& w) {
  for (size_t i = 0; i < w.size(); ++i) {
    v[i] = kMomentum * v[i] + rate * (g[i] + kDecay * w[i]);
    w[i] -= v[i];
  }
}

__global__ void naive_kernel(float rate, const float* g, float* v, float* w, int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  v[i] = kMomentum * v[i] + rate * (g[i] + kDecay * w[i]);
  w[i] -= v[i];
}

}  // namespace

int main() {
  lesson::Lesson l("the update of SGD");
  const TensorSpec flat{{kCount}, DType::f32, Layout::plain};
  const TensorSpec words{{kStepStateWords}, DType::u64, Layout::plain};
  const auto g = lesson::drawn(kCount, 1), w0 = lesson::drawn(kCount, 2);
  const auto state = [&](double rate) {
    return std::vector<uint64_t>{0, 0, 0, std::bit_cast<uint64_t>(rate), 0};
  };
  const Tensor dg = l.holding(flat, g), v = l.tensor(flat), w = l.holding(flat, w0),
               naive_v = l.tensor(flat), naive_w = l.holding(flat, w0),
               dstate = l.holding(words, state(0.1));
  l.backend().fill_zero(l.stream(), v);
  l.backend().fill_zero(l.stream(), naive_v);

  SgdSpec spec;
  spec.momentum = kMomentum;
  spec.decay = kDecay;
  const auto final_step = [&] { l.backend().sgd_update(l.stream(), spec, dg, dstate, v, w); };
  double rate = 0.1;
  const auto naive_step = [&] {
    cuda::launch(l.native(), dim3(static_cast<unsigned>((kCount + 255) / 256)), dim3(256),
                 naive_kernel, static_cast<float>(rate), dg.as<float>(), naive_v.as<float>(),
                 naive_w.as<float>(), kCount);
  };

  std::vector<float> wanted_v(kCount), wanted_w = w0;
  plain_loop(0.1f, g, wanted_v, wanted_w);
  naive_step();
  final_step();
  l.expect("naive kernel, launched", l.host(naive_w), wanted_w, 1e-6);
  l.expect("the backend's kernel, launched", l.host(w), wanted_w, 1e-6);

  // The rate drops, and the recorded step is replayed.
  const auto replay_naive = l.backend().capture(l.stream(), naive_step);
  const auto replay_final = l.backend().capture(l.stream(), final_step);
  rate = 0.001;
  const auto dropped = state(rate);
  l.backend().upload(l.stream(), dropped.data(), dstate);
  replay_naive();
  replay_final();
  plain_loop(0.001f, g, wanted_v, wanted_w);
  l.expect_wrong("naive kernel, replayed after the rate dropped", l.host(naive_w), wanted_w, 1e-2);
  l.expect("the backend's kernel, replayed", l.host(w), wanted_w, 1e-6);

  l.time("naive kernel", naive_step);
  l.time("the backend's kernel", final_step);
  return l.status();
}
