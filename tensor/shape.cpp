// Shapes, layouts and specs.
#include "tensor/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/error.h"

namespace ft {
namespace {

int64_t checked_product(std::span<const int64_t> dims) {
  int64_t product = 1;
  for (int64_t d : dims)
    FT_CHECK(!__builtin_mul_overflow(product, d, &product), "a tensor has more than 2^63 elements");
  return product;
}

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Shape::Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) : rank_(static_cast<int>(dims.size())) {
  FT_CHECK(rank_ <= kMaxRank, fmt::format("a shape has {} axes, at most 4 are supported", rank_));
  for (int i = 0; i < rank_; ++i) {
    const int64_t d = dims[static_cast<size_t>(i)];
    FT_CHECK(d >= 0, fmt::format("axis {} has the negative extent {}", i, d));
    dims_[static_cast<size_t>(i)] = d;
  }
}

int64_t Shape::elements() const { return checked_product(dims_); }
int64_t Shape::per_sample() const { return checked_product(std::span(dims_).subspan(1)); }

Shape Shape::with_n(int64_t n) const {
  Shape s = *this;
  FT_CHECK(rank_ > 0 && n >= 0, "with_n needs a shape with at least one axis");
  s.dims_[0] = n;
  return s;
}

std::string Shape::str() const { return fmt::format("{{{}}}", fmt::join(dims(), ",")); }

std::string_view name_of(Layout layout) {
  switch (layout) {
    case Layout::plain:
      return "plain";
    case Layout::nhwc:
      return "nhwc";
    case Layout::nchw8c:
      return "nchw8c";
    case Layout::nchw16c:
      return "nchw16c";
  }
  FT_CHECK(false, "unknown layout");
}

int64_t TensorSpec::padded_elements() const {
  const int64_t block = layout == Layout::nchw8c ? 8 : layout == Layout::nchw16c ? 16 : 1;
  const int64_t dims[] = {shape.n(), round_up(shape.c(), block), shape.h(), shape.w()};
  return checked_product(dims);
}

int64_t TensorSpec::offset(int64_t n, int64_t c, int64_t h, int64_t w) const {
  const int64_t C = shape.c(), H = shape.h(), W = shape.w();
  switch (layout) {
    case Layout::plain:
      return ((n * C + c) * H + h) * W + w;
    case Layout::nhwc:
      return ((n * H + h) * W + w) * C + c;
    case Layout::nchw8c:
    case Layout::nchw16c: {
      const int64_t block = layout == Layout::nchw8c ? 8 : 16, blocks = round_up(C, block) / block;
      return (((n * blocks + c / block) * H + h) * W + w) * block + c % block;
    }
  }
  FT_CHECK(false, "unknown layout");
}

std::string TensorSpec::str() const {
  return fmt::format("{} {} {}", name_of(dtype), shape.str(), name_of(layout));
}

}  // namespace ft
