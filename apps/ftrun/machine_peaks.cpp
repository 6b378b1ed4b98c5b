// Measuring peaks.
#include "apps/ftrun/machine_peaks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <functional>

namespace ft::app {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Seconds of the fastest run of fn: at least two, more until `budget` seconds are spent.
double fastest(Backend& backend, StreamRef s, double budget, const std::function<void()>& fn) {
  const auto begin = backend.make_timer(), end = backend.make_timer();
  const auto start = Clock::now();
  double best = INFINITY;
  for (int run = 0; run < 2 || seconds_since(start) < budget; ++run) {
    backend.record(s, *begin);
    fn();
    backend.record(s, *end);
    backend.synchronize(s);
    best = std::min(best, backend.seconds_between(*begin, *end));
  }
  return best;
}

// Neither zeros nor huge: what the numbers are must not change the speed.
Tensor filled(Backend& backend, StreamRef s, const TensorSpec& spec) {
  const TensorSpec plain{spec.shape, DType::f32, Layout::plain};
  std::vector<float> host(static_cast<size_t>(spec.shape.elements()));
  for (size_t i = 0; i < host.size(); ++i) host[i] = 0.5f + static_cast<float>(i % 64) / 128;
  const Tensor loaded(plain, backend.allocator()), tensor(spec, backend.allocator());
  backend.upload(s, host.data(), loaded);
  backend.convert(s, loaded, tensor);
  backend.synchronize(s);
  return tensor;
}

// FLOP/s of an n x n product.
double product_rate(Backend& backend, StreamRef s, const NumericsPolicy& numerics, int64_t n,
                    double budget) {
  MatmulSpec spec;
  spec.x = {{n, n}, numerics.compute, Layout::plain};
  spec.out = n;
  spec.y_dtype = numerics.compute;
  spec.numerics = numerics;
  const auto plan = backend.make_matmul(spec);
  const Tensor x = filled(backend, s, spec.x), y(plan->y_spec(), backend.allocator());
  const Tensor workspace(
      {{static_cast<int64_t>(plan->workspace_bytes()) + 1}, DType::u8, Layout::plain},
      backend.allocator());
  const Weights w{filled(backend, s, {spec.weight_shape(), DType::f32, Layout::plain}), {}, 1};
  const auto run = [&] { plan->forward(s, x, w, y, workspace); };
  run();  // packs the weights
  return spec.flops() / fastest(backend, s, budget, run);
}

// Larger products reach higher rates; slow backends get small ones.
double best_product_rate(Backend& backend, StreamRef s, const NumericsPolicy& numerics) {
  double best = 0;
  for (int64_t n = 128; n <= 2048; n *= 2) {
    const double rate = product_rate(backend, s, numerics, n, n < 1024 ? 0 : 0.1);
    best = std::max(best, rate);
    if (std::pow(2.0 * static_cast<double>(n), 3) * 2 / rate > 0.25) break;
  }
  return best;
}

double memory_rate(Backend& backend, StreamRef s) {
  const Shape large{int64_t{16} << 20};  // 64 MiB each
  const TensorSpec spec{large, DType::f32, Layout::plain};
  const Tensor a = filled(backend, s, spec), b = filled(backend, s, spec),
               y(spec, backend.allocator());
  const auto run = [&] { backend.add(s, a, b, y); };
  run();
  return 3.0 * static_cast<double>(spec.bytes()) / fastest(backend, s, 0.2, run);
}

}  // namespace

double Peaks::roofline(DType type, double flops_of_work, double bytes) const {
  return std::max(flops_of_work / flops(type), bytes / memory);
}

Peaks measure_peaks(Backend& backend, StreamRef s, bool tf32) {
  const auto start = Clock::now();
  Peaks peaks;
  NumericsPolicy numerics;
  numerics.tf32 = tf32;
  peaks.f32 = best_product_rate(backend, s, numerics);
  numerics.compute = DType::bf16;
  if (backend.supports(DType::bf16)) peaks.bf16 = best_product_rate(backend, s, numerics);
  peaks.memory = memory_rate(backend, s);
  peaks.seconds = seconds_since(start);
  return peaks;
}

Peaks merge_peaks(const Peaks& before, const Peaks& after) {
  Peaks merged;
  for (double Peaks::* figure : {&Peaks::f32, &Peaks::bf16, &Peaks::memory}) {
    const auto [slow, fast] = std::minmax(before.*figure, after.*figure);
    merged.*figure = fast;
    if (fast > 0) merged.apart = std::max(merged.apart, 1 - slow / fast);
  }
  merged.seconds = before.seconds + after.seconds;
  return merged;
}

std::string peaks_source(const Peaks& peaks) {
  constexpr double kDisturbed = 0.1;
  if (peaks.seconds == 0) return "given";
  return fmt::format(
      "measured before and after in {:.2f} s, {:.0f} % apart{}", peaks.seconds, 100 * peaks.apart,
      peaks.apart > kDisturbed ? ": disturbed by other processes; measure again" : "");
}

Peaks parse_peaks(const std::string& text) {
  Peaks peaks;
  const char* at = text.data();
  const char* const end = at + text.size();
  bool good = true;
  for (double* value : {&peaks.f32, &peaks.bf16, &peaks.memory}) {
    const auto [stop, fault] = std::from_chars(at, end, *value);
    const bool last = value == &peaks.memory;
    good = good && fault == std::errc{} && *value > 0 && *value < 1e9 &&
           (last ? stop == end : stop != end && *stop == ',');
    if (!good) break;
    at = stop + 1;
    *value *= 1e9;
  }
  if (!good)
    throw Error(2003, "--peaks", fmt::format("\"{}\" is not F32,BF16,MEMORY", text),
                "give three positive numbers: GFLOP/s in f32, GFLOP/s in bf16, GB/s");
  return peaks;
}

}  // namespace ft::app
