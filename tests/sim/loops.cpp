// Plain loops; the innermost one runs over what lies side by side.
#include "tests/sim/loops.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <bit>

namespace sim {
namespace {

// Calls fn(place of the pixel in x, place of the pixel in y, tap) for every tap that lies inside of the image.
template <class Fn>
void each_tap(const Convolution& a, Fn fn) {
  for (int64_t n = 0; n < a.n; ++n)
    for (int64_t p = 0; p < a.p; ++p)
      for (int64_t q = 0; q < a.q; ++q)
        for (int64_t r = 0; r < a.r; ++r)
          for (int64_t s = 0; s < a.s; ++s) {
            const int64_t h = p * a.stride[0] - a.pad[0] + r, w = q * a.stride[1] - a.pad[1] + s;
            if (h < 0 || h >= a.h || w < 0 || w >= a.w) continue;
            fn(((n * a.h + h) * a.w + w) * a.c, ((n * a.p + p) * a.q + q) * a.k, r * a.s + s);
          }
}

// to[i] += factor * from[i]
void add_scaled(double* to, double factor, const double* from, int64_t count) {
  for (int64_t i = 0; i < count; ++i) to[i] += factor * from[i];
}

}  // namespace

size_t bytes_of(Element type) { return type == Element::f32 ? 4 : 2; }

double load(Element type, const void* data, int64_t at) {
  switch (type) {
    case Element::f32:
      return static_cast<const float*>(data)[at];
    case Element::bf16:
      return static_cast<float>(static_cast<const __nv_bfloat16*>(data)[at]);
    case Element::f16:
      return static_cast<float>(static_cast<const __half*>(data)[at]);
  }
  return 0;
}

void store(Element type, void* data, int64_t at, double v) {
  const auto single = static_cast<float>(v);
  switch (type) {
    case Element::f32:
      static_cast<float*>(data)[at] = single;
      break;
    case Element::bf16:
      static_cast<__nv_bfloat16*>(data)[at] = __float2bfloat16_rn(single);
      break;
    case Element::f16:
      static_cast<__half*>(data)[at] = __float2half_rn(single);
      break;
  }
}

double to_tf32(double v) {
  constexpr uint32_t kDropped = 0x1fff, kHalf = 0x1000;
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(v));
  const bool finite = (bits & 0x7f800000u) != 0x7f800000u;
  return finite ? std::bit_cast<float>((bits + kHalf) & ~kDropped) : v;
}

Values convolution_forward(const Convolution& a, const Values& x, const Values& w) {
  const int64_t cg = a.c / a.groups, kg = a.k / a.groups, taps = a.r * a.s;
  Values turned(w.size());  // tap, c, k
  for (int64_t k = 0; k < a.k; ++k)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < cg; ++c)
        turned[static_cast<size_t>((t * cg + c) * a.k + k)] =
            w[static_cast<size_t>((k * taps + t) * cg + c)];
  Values y(static_cast<size_t>(a.y_size()));
  each_tap(a, [&](int64_t at_x, int64_t at_y, int64_t tap) {
    for (int64_t g = 0; g < a.groups; ++g)
      for (int64_t c = 0; c < cg; ++c)
        add_scaled(&y[static_cast<size_t>(at_y + g * kg)],
                   x[static_cast<size_t>(at_x + g * cg + c)],
                   &turned[static_cast<size_t>((tap * cg + c) * a.k + g * kg)], kg);
  });
  return y;
}

Values convolution_backward_data(const Convolution& a, const Values& w, const Values& dy) {
  const int64_t cg = a.c / a.groups, kg = a.k / a.groups, taps = a.r * a.s;
  Values dx(static_cast<size_t>(a.x_size()));
  each_tap(a, [&](int64_t at_x, int64_t at_y, int64_t tap) {
    for (int64_t k = 0; k < a.k; ++k)
      add_scaled(&dx[static_cast<size_t>(at_x + k / kg * cg)], dy[static_cast<size_t>(at_y + k)],
                 &w[static_cast<size_t>((k * taps + tap) * cg)], cg);
  });
  return dx;
}

Values convolution_backward_weights(const Convolution& a, const Values& x, const Values& dy) {
  const int64_t cg = a.c / a.groups, kg = a.k / a.groups, taps = a.r * a.s;
  Values dw(static_cast<size_t>(a.w_size()));
  each_tap(a, [&](int64_t at_x, int64_t at_y, int64_t tap) {
    for (int64_t k = 0; k < a.k; ++k)
      add_scaled(&dw[static_cast<size_t>((k * taps + tap) * cg)], dy[static_cast<size_t>(at_y + k)],
                 &x[static_cast<size_t>(at_x + k / kg * cg)], cg);
  });
  return dw;
}

}  // namespace sim
