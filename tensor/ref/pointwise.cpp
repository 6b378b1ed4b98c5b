// Element-wise ops by their definition; they run over the padded elements of a layout.
#include <cstring>

#include "tensor/ref/ref.h"
#include "tensor/rng.h"

namespace ft {
namespace {

// y[i] = fn(inputs[i] ...) over all padded elements; y may be the memory of an input.
template <class Fn, class... Inputs>
void map(const Tensor& y, Fn fn, const Inputs&... inputs) {
  FT_CHECK(((inputs.spec() == y.spec()) && ...), "element-wise ops need equal specs");
  ref::with_scalar(y.spec().dtype, [&](auto scalar) {
    using T = decltype(scalar);
    for (int64_t i = 0; i < y.spec().padded_elements(); ++i)
      y.as<T>()[i] = static_cast<T>(fn(double{inputs.template as<T>()[i]}...));
  });
}

double load(const Tensor& t, int64_t i) {
  switch (t.spec().dtype) {
    case DType::f64:
      return t.as<double>()[i];
    case DType::f32:
      return t.as<float>()[i];
    case DType::bf16:
      return from_bf16(static_cast<const uint16_t*>(t.data())[i]);
    default:
      FT_CHECK(false, "convert knows f64, f32 and bf16 only");
  }
}

void store(const Tensor& t, int64_t i, double v) {
  switch (t.spec().dtype) {
    case DType::f64:
      t.as<double>()[i] = v;
      return;
    case DType::f32:
      t.as<float>()[i] = static_cast<float>(v);
      return;
    case DType::bf16:
      static_cast<uint16_t*>(t.data())[i] = to_bf16(static_cast<float>(v));
      return;
    default:
      FT_CHECK(false, "convert knows f64, f32 and bf16 only");
  }
}

}  // namespace

void RefBackend::fill_zero(StreamRef, const Tensor& y) {
  if (y.bytes() != 0) std::memset(y.data(), 0, y.bytes());
}

// y(n,c,h,w) = x(n,c,h,w), each at the place that its layout gives it; channels past C are padding.
void RefBackend::convert(StreamRef, const Tensor& x, const Tensor& y) {
  const Shape& shape = y.shape();
  FT_CHECK(x.shape() == shape, "convert needs equal logical shapes");
  const int64_t per_channel = shape.n() * shape.h() * shape.w();
  const int64_t channels = per_channel == 0 ? 0 : y.spec().padded_elements() / per_channel;
  ref::for_each({shape.n(), channels, shape.h(), shape.w()},
                [&](int64_t n, int64_t c, int64_t h, int64_t w) {
                  const double v = c < shape.c() ? load(x, x.spec().offset(n, c, h, w)) : 0;
                  store(y, y.spec().offset(n, c, h, w), v);
                });
}

void RefBackend::add(StreamRef, const Tensor& a, const Tensor& b, const Tensor& y) {
  map(y, [](double va, double vb) { return va + vb; }, a, b);
}

// y = max(0, x)
void RefBackend::relu_forward(StreamRef, const Tensor& x, const Tensor& y) {
  map(y, [](double v) { return ref::relu(v); }, x);
}

// dx = dy where y > 0, else 0
void RefBackend::relu_backward(StreamRef, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  map(dx, [](double vy, double vdy) { return vy > 0 ? vdy : 0; }, y, dy);
}

// y = x / (1 - p) where uniform >= p, else 0; the number of element i (C,H,W order) of the sample
// at batch position b is Rng(seed, dropout, step, node << 32 | b).uniform(i).
void RefBackend::dropout(StreamRef, const DropoutSpec& spec, const Tensor& x, const Tensor& state,
                         const Tensor& y) {
  FT_CHECK(spec.p >= 0 && spec.p < 1 && x.spec() == y.spec(), "dropout needs p in [0, 1)");
  const uint64_t* words = state.as<uint64_t>();
  const Shape& shape = x.shape();
  ref::for_each(shape, [&](int64_t n, int64_t c, int64_t h, int64_t w) {
    const uint64_t sample = uint64_t{spec.node} << 32 | (words[2] + static_cast<uint64_t>(n));
    const Rng rng(words[0], RngPurpose::dropout, words[1], sample);
    const int64_t element = (c * shape.h() + h) * shape.w() + w, at = x.spec().offset(n, c, h, w);
    const bool keep = double{rng.uniform(static_cast<uint64_t>(element))} >= spec.p;
    store(y, at, keep ? load(x, at) / (1 - spec.p) : 0);
  });
}

}  // namespace ft
