// From pixels to the first tensor of a network, by its definition.
#include "tensor/ref/ref.h"

namespace ft {

// y[n,c,h,w] = (scale * pixel[n,h,w,c'] - mean[c]) / deviation[c], c' = 2-c for BGR, else c
void RefBackend::normalize_image(StreamRef s, const NormalizeSpec& spec, const Tensor& pixels,
                                 const Tensor& y) {
  const Shape& shape = y.shape();
  FT_CHECK(shape.c() == 3 && pixels.shape() == (Shape{shape.n(), shape.h(), shape.w(), 3}),
           "pixels {N,H,W,3} against y {N,3,H,W}");
  fill_zero(s, y);
  ref::with_scalar(y.spec().dtype, [&](auto scalar) {
    using T = decltype(scalar);
    const ref::View<uint8_t> pixel(pixels, pixels.shape());
    ref::for_each(shape, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
      const auto channel = static_cast<size_t>(c);
      const double v = spec.scale * pixel(n, h, w, spec.bgr ? 2 - c : c) - spec.mean[channel];
      y.as<T>()[y.spec().offset(n, c, h, w)] = static_cast<T>(v / spec.deviation[channel]);
    });
  });
}

}  // namespace ft
