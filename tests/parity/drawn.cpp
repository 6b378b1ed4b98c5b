// Drawing and digests.
#include "tests/parity/drawn.h"

#include <algorithm>
#include <cmath>

#include "tensor/error.h"
#include "tensor/rng.h"

namespace ft::parity {
namespace {

constexpr uint32_t kSamples = 64;

// FNV-1a, 64 bit (Fowler, Noll, Vo).
uint64_t hash_of(const std::string& name) {
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : name) h = (h ^ c) * 1099511628211ull;
  return h;
}

Rng stream_of(const std::string& name, uint64_t seed = 0) {
  return {seed, RngPurpose::test, 0, hash_of(name)};
}

// value(u) for each of the stream's uniform numbers.
template <class Fn>
std::vector<float> drawn(int64_t count, const Rng& rng, Fn value) {
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t first = 0; first < values.size(); first += 4) {
    const std::array<uint32_t, 4> words = rng.block(first / 4);
    for (size_t i = first; i < std::min(first + 4, values.size()); ++i)
      values[i] = static_cast<float>(value((words[i - first] >> 8) / 16777216.0));
  }
  return values;
}

std::vector<float> between(double low, double high, int64_t count, const Rng& rng) {
  return drawn(count, rng, [=](double u) { return low + (high - low) * u; });
}

}  // namespace

std::vector<float> draw_parameter(const Parameter& parameter, double gain) {
  const int64_t count = parameter.shape.elements();
  const Rng rng = stream_of(parameter.name);
  const int64_t fan_in = count / parameter.shape.n();
  const double bound = gain * std::sqrt(6.0 / static_cast<double>(fan_in));
  const double small = parameter.name.find("bn3.") != std::string::npos ? 0.25 : 1;
  switch (parameter.role) {
    case ParamRole::weight:
      return between(-bound, bound, count, rng);
    case ParamRole::bias:
      return between(-0.1, 0.1, count, rng);
    case ParamRole::gamma:
      return between(0.5 * small, small, count, rng);
    case ParamRole::beta:
      return drawn(count, rng, [=](double u) { return small * (u < 0.5 ? u - 2 : u + 1); });
    case ParamRole::running_mean:
      return between(-0.5 * gain, 0.5 * gain, count, rng);
    case ParamRole::running_var:
      return between(gain * gain, 3 * gain * gain, count, rng);
  }
  FT_CHECK(false, "no rule for the role of " + parameter.name);
  return {};
}

std::vector<float> draw_images(int64_t count, double scale, uint64_t seed) {
  return between(-scale, scale, count, stream_of("image", seed));
}

std::vector<int32_t> draw_labels(int64_t batch, int64_t classes) {
  std::vector<int32_t> labels;
  for (int64_t n = 0; n < batch; ++n) labels.push_back(static_cast<int32_t>((3 * n + 1) % classes));
  return labels;
}

Digest digest(std::span<const float> tensor) {
  Digest d;
  d.count = static_cast<int64_t>(tensor.size());
  const Rng signs = stream_of("signs"), places = stream_of("places");
  double squares = 0;
  for (size_t first = 0; first < tensor.size(); first += 32) {
    const std::array<uint32_t, 4> words = signs.block(first / 32);
    for (size_t i = first; i < std::min(first + 32, tensor.size()); ++i) {
      const double v = tensor[i];
      squares += v * v;
      for (size_t p = 0; p < 3; ++p)
        d.projections[p] += (words[p] >> (i - first) & 1) != 0 ? -v : v;
    }
  }
  d.norm = std::sqrt(squares);
  if (tensor.size() <= kSamples) {
    d.samples.assign(tensor.begin(), tensor.end());
  } else {
    for (uint32_t k = 0; k < kSamples; ++k)
      d.samples.push_back(tensor[places.below(k, static_cast<uint32_t>(tensor.size()))]);
  }
  return d;
}

double distance(const Digest& got, const Digest& want) {
  FT_CHECK(got.count == want.count && got.samples.size() == want.samples.size() && want.norm > 0,
           "digests of different tensors, or of zeros");
  double projected = 0, sampled = 0;
  for (size_t p = 0; p < 3; ++p)
    projected += std::pow(got.projections[p] - want.projections[p], 2) / 3;
  for (size_t i = 0; i < want.samples.size(); ++i)
    sampled += std::pow(got.samples[i] - want.samples[i], 2);
  const double scale = static_cast<double>(want.count) / static_cast<double>(want.samples.size());
  return std::max(
             {std::abs(got.norm - want.norm), std::sqrt(projected), std::sqrt(sampled * scale)}) /
         want.norm;
}

double distance(std::span<const float> got, std::span<const double> want) {
  FT_CHECK(got.size() == want.size(), "tensors of different sizes");
  double difference = 0, squares = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(got[i] - want[i], 2);
    squares += want[i] * want[i];
  }
  return std::sqrt(difference / squares);
}

}  // namespace ft::parity
