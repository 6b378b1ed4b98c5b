// Pixels to the first tensor. A pixel has 256 values: each channel's results are looked up, so that
// they are the ones that double precision gives, in either element type.
#include "tensor/ops/image.h"

#include <array>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

template <class T>
using Table = std::array<std::array<T, 256>, 3>;  // [channel of y][pixel value]

template <class T>
Table<T> table_of(const NormalizeSpec& spec) {
  Table<T> table;
  for (size_t c = 0; c < 3; ++c)
    for (size_t pixel = 0; pixel < 256; ++pixel) {
      const double v = (spec.scale * static_cast<double>(pixel) - spec.mean[c]) / spec.deviation[c];
      cpu::store(table[c][pixel], static_cast<float>(v));
    }
  return table;
}

template <class T>
void look_up(const T* table, const uint8_t* pixels, int64_t count, T* y, int64_t stride) {
  for (int64_t i = 0; i < count; ++i) y[i * stride] = table[pixels[3 * i]];
}

template <class T>
void normalize(int threads, const NormalizeSpec& spec, const Tensor& pixels, const Tensor& y) {
  const Table<T> table = table_of<T>(spec);
  const cpu::Lanes v(y.spec());
  const int64_t width = y.shape().w(), height = y.shape().h();
  cpu::parallel_for(threads, v.n * height, 8, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / height, first = row % height * width;
      const uint8_t* from = pixels.as<uint8_t>() + row * width * 3;
      T* sample = cpu::data_of<T>(y);
      for (int64_t c = 0; c < 3; ++c) {
        T* to = sample + v.offset(n, c / v.width) + first * v.stride + c % v.width;
        look_up(table[static_cast<size_t>(c)].data(), from + (spec.bgr ? 2 - c : c), width, to,
                v.stride);
      }
      for (int64_t l = v.used(0); v.blocks == 1 && l < v.width; ++l)
        for (int64_t w = 0; w < width; ++w)
          sample[v.offset(n, 0) + (first + w) * v.stride + l] = T{};
    }
  });
}

}  // namespace

void CpuBackend::normalize_image(StreamRef, const NormalizeSpec& spec, const Tensor& pixels,
                                 const Tensor& y) {
  const Shape& s = y.shape();
  FT_CHECK(s.c() == 3 && pixels.shape() == (Shape{s.n(), s.h(), s.w(), 3}) &&
               pixels.spec().layout == Layout::plain,
           "normalize_image of " + pixels.spec().str() + " to " + y.spec().str());
  cpu::with_element(y.spec().dtype,
                    [&](auto element) { normalize<decltype(element)>(threads_, spec, pixels, y); });
}

}  // namespace ft
