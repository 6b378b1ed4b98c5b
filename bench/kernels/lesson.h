// What the lessons on the kernels of the CUDA backend share: a GPU, memory with drawn numbers in it, comparing, and
// timing. A lesson has a plain loop (the definition), a naive kernel, and the backend's own, which is called as the
// framework calls it; it ends with status 1 if what it says is not so. Used by one thread.
#pragma once

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/backend.h"
#include "tensor/cuda/launch.cuh"
#include "tensor/rng.h"

namespace ft::lesson {

class Lesson {
 public:
  explicit Lesson(const char* title)
      : backend_(make_backend({Device::Kind::cuda, 0}, {})), stream_(backend_->make_stream()) {
    std::printf("%s, on %s\n", title, backend_->describe().c_str());
  }

  Backend& backend() { return *backend_; }
  StreamRef stream() const { return stream_->ref(); }
  cudaStream_t native() const { return static_cast<cudaStream_t>(stream().native()); }

  Tensor tensor(const TensorSpec& spec) { return {spec, backend_->allocator()}; }
  Tensor floats(int64_t count) { return tensor({{count}, DType::f32, Layout::plain}); }
  // On the device, with these bytes in it.
  template <class T>
  Tensor holding(const TensorSpec& spec, const std::vector<T>& values) {
    const Tensor t = tensor(spec);
    backend_->upload(stream(), values.data(), t);
    backend_->synchronize(stream());
    return t;
  }
  std::vector<float> host(const Tensor& t) {
    std::vector<float> values(t.bytes() / sizeof(float));
    backend_->download(stream(), t, values.data());
    backend_->synchronize(stream());
    return values;
  }

  // Says whether `got` is `wanted` to within `bound` of the largest value, and notes it if not.
  void expect(const char* what, const std::vector<float>& got, const std::vector<float>& wanted,
              double bound) {
    say(what, distance(got, wanted) <= bound, distance(got, wanted));
  }
  // The same for what is shown to be wrong.
  void expect_wrong(const char* what, const std::vector<float>& got,
                    const std::vector<float>& wanted, double at_least) {
    say(what, distance(got, wanted) >= at_least, distance(got, wanted));
  }
  // Median of a few runs, for eyes: nothing is decided by it.
  void time(const char* what, const std::function<void()>& run) {
    const auto begin = backend_->make_timer(), end = backend_->make_timer();
    double best = 0;
    for (int i = 0; i < 5; ++i) {
      backend_->record(stream(), *begin);
      run();
      backend_->record(stream(), *end);
      backend_->synchronize(stream());
      const double seconds = backend_->seconds_between(*begin, *end);
      best = i == 0 ? seconds : std::min(best, seconds);
    }
    std::printf("  %-52s %10.1f us\n", what, 1e6 * best);
  }
  int status() const { return good_ ? 0 : 1; }

 private:
  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double most = 0, scale = 0;
    for (size_t i = 0; i < b.size(); ++i) {
      most = std::max(most, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
      scale = std::max(scale, std::abs(static_cast<double>(b[i])));
    }
    return a.size() == b.size() && scale > 0 ? most / scale : INFINITY;
  }
  void say(const char* what, bool good, double distance) {
    std::printf("  %-52s differs by %.1e%s\n", what, distance, good ? "" : "  <- NOT AS CLAIMED");
    good_ = good_ && good;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  bool good_ = true;
};

// Numbers from -1 to 1, the same for the same seed.
inline std::vector<float> drawn(size_t count, uint64_t seed) {
  const Rng rng(seed, RngPurpose::test);
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = 2 * static_cast<float>(rng.uniform(i)) - 1;
  return values;
}

}  // namespace ft::lesson
