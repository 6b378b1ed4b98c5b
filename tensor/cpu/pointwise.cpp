// Element-wise ops as own loops over the padded elements of a layout, and conversions between
// layouts.
#include "tensor/ops/pointwise.h"

#include <cstring>

#include "tensor/cpu/cpu.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::Bf16;

void check_same(const Tensor& a, const Tensor& b) {
  FT_CHECK(a.spec() == b.spec(), "element-wise op of " + a.spec().str() + " and " + b.spec().str());
}

double read_element(const Tensor& x, int64_t i) {
  if (x.spec().dtype == DType::f64) return x.as<double>()[i];
  if (x.spec().dtype == DType::f32) return x.as<float>()[i];
  return from_bf16(cpu::data_of<uint16_t>(x)[i]);
}

void write_element(const Tensor& y, int64_t i, double value) {
  if (y.spec().dtype == DType::f64)
    y.as<double>()[i] = value;
  else if (y.spec().dtype == DType::f32)
    y.as<float>()[i] = static_cast<float>(value);
  else
    cpu::data_of<uint16_t>(y)[i] = to_bf16(static_cast<float>(value));
}

// With f64, which only tests and dumps read and write.
void convert_slowly(const Tensor& x, const Tensor& y) {
  std::memset(y.data(), 0, y.bytes());
  const Shape& s = x.shape();
  for (int64_t n = 0; n < s.n(); ++n)
    for (int64_t c = 0; c < s.c(); ++c)
      for (int64_t h = 0; h < s.h(); ++h)
        for (int64_t w = 0; w < s.w(); ++w)
          write_element(y, y.spec().offset(n, c, h, w),
                        read_element(x, x.spec().offset(n, c, h, w)));
}

// Calls fn(kernels, begin, end) for ranges of the padded elements of `spec`, with the kernels of
// its type.
template <class Fn>
void over_elements(const CpuBackend& backend, const TensorSpec& spec, const Fn& fn) {
  cpu::with_element(spec.dtype, [&](auto element) {
    const cpu::ElementKernels<decltype(element)>& kernels = backend.kernels();
    cpu::parallel_for(backend.threads(), spec.padded_elements(), cpu::kGrain,
                      [&](int64_t begin, int64_t end) { fn(kernels, begin, end); });
  });
}

template <class T>
T* element(const cpu::ElementKernels<T>&, const Tensor& t, int64_t i) {
  return cpu::data_of<T>(t) + i;
}

}  // namespace

void CpuBackend::fill_zero(StreamRef, const Tensor& y) {
  auto* bytes = static_cast<std::byte*>(y.data());
  cpu::parallel_for(threads_, static_cast<int64_t>(y.bytes()), 4 * cpu::kGrain,
                    [&](int64_t begin, int64_t end) {
                      std::memset(bytes + begin, 0, static_cast<size_t>(end - begin));
                    });
}

cpu::Call& CpuBackend::conversion(const TensorSpec& from, const TensorSpec& to) {
  for (const auto& c : conversions_)
    if (c->from == from && c->to == to) return c->reorder;
  const cpu::Md a = cpu::desc_of(from), b = cpu::desc_of(to);
  const dnnl::reorder::primitive_desc pd(engine(), a, engine(), b);
  const cpu::Call call(engine(), dnnl::reorder(pd), {{DNNL_ARG_FROM, a}, {DNNL_ARG_TO, b}});
  conversions_.push_back(std::make_unique<Conversion>(Conversion{from, to, call}));
  return conversions_.back()->reorder;
}

void CpuBackend::convert(StreamRef, const Tensor& x, const Tensor& y) {
  const TensorSpec &from = x.spec(), &to = y.spec();
  FT_CHECK(from.shape == to.shape, "convert from " + from.str() + " to " + to.str());
  if (from.shape.elements() == 0 || (from == to && x.data() == y.data())) return;
  if (from.dtype == DType::f64 || to.dtype == DType::f64) return convert_slowly(x, y);
  if (from.layout != to.layout) {
    return cpu::guard("convert", [&] {
      conversion(from, to).run(stream(), {{DNNL_ARG_FROM, x.data()}, {DNNL_ARG_TO, y.data()}});
    });
  }
  if (from.dtype == to.dtype) return copy(x, y);
  const bool widen = to.dtype == DType::f32;
  const cpu::ElementKernels<Bf16>& kernels = kernels_;
  cpu::parallel_for(threads_, from.padded_elements(), cpu::kGrain, [&](int64_t begin, int64_t end) {
    if (widen)
      kernels.to_f32(cpu::data_of<Bf16>(x) + begin, y.as<float>() + begin, end - begin);
    else
      kernels.from_f32(x.as<float>() + begin, cpu::data_of<Bf16>(y) + begin, end - begin);
  });
}

void CpuBackend::copy(const Tensor& x, const Tensor& y) {
  const auto* from = static_cast<const std::byte*>(x.data());
  auto* to = static_cast<std::byte*>(y.data());
  cpu::parallel_for(threads_, static_cast<int64_t>(y.bytes()), 4 * cpu::kGrain,
                    [&](int64_t begin, int64_t end) {
                      std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
                    });
}

void CpuBackend::add(StreamRef, const Tensor& a, const Tensor& b, const Tensor& y) {
  check_same(a, b);
  check_same(a, y);
  over_elements(*this, y.spec(), [&](const auto& k, int64_t begin, int64_t end) {
    k.add(element(k, a, begin), element(k, b, begin), element(k, y, begin), end - begin);
  });
}

void CpuBackend::relu_forward(StreamRef, const Tensor& x, const Tensor& y) {
  check_same(x, y);
  over_elements(*this, y.spec(), [&](const auto& k, int64_t begin, int64_t end) {
    k.relu(element(k, x, begin), element(k, y, begin), end - begin);
  });
}

void CpuBackend::relu_backward(StreamRef, const Tensor& y, const Tensor& dy, const Tensor& dx) {
  check_same(y, dy);
  check_same(y, dx);
  over_elements(*this, y.spec(), [&](const auto& k, int64_t begin, int64_t end) {
    k.relu_backward(element(k, y, begin), element(k, dy, begin), element(k, dx, begin),
                    end - begin);
  });
}

}  // namespace ft
