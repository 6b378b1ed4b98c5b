// What a tensor is: logical shape, element type, and how the elements lie in memory.
// Logical order is always N,C,H,W for activations and K,C,R,S (out, in / groups, height, width) for
// weights, whatever the layout; a layout only changes where an element lies. Values only.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

#include "tensor/dtype.h"

namespace ft {

// Up to four extents. Axes beyond the rank count as 1, so that n(), c(), h() and w() always answer.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  std::span<const int64_t> dims() const { return {dims_.data(), static_cast<size_t>(rank_)}; }
  int64_t n() const { return dims_[0]; }
  int64_t c() const { return dims_[1]; }
  int64_t h() const { return dims_[2]; }
  int64_t w() const { return dims_[3]; }
  // Product of all extents; 1 for rank 0. Throws Error 1001 on overflow of 63 bits.
  int64_t elements() const;
  // Elements of one sample: everything but the first axis.
  int64_t per_sample() const;
  // The same shape with another first extent.
  Shape with_n(int64_t n) const;
  std::string str() const;  // "{32,64,55,55}"

  friend bool operator==(const Shape&, const Shape&) = default;

 private:
  std::array<int64_t, kMaxRank> dims_{1, 1, 1, 1};
  int rank_ = 0;
};

// How elements lie in memory.
//   plain     row-major in logical order (NCHW, KCRS, or a flat range)
//   nhwc      channels last (NHWC; KRSC for weights)
//   nchw8c    oneDNN's nChw8c: channels in blocks of 8, padded to a multiple of 8
//   nchw16c   the same with blocks of 16
enum class Layout : uint8_t { plain, nhwc, nchw8c, nchw16c };
std::string_view name_of(Layout layout);

struct TensorSpec {
  Shape shape;
  DType dtype = DType::f32;
  Layout layout = Layout::plain;

  // Elements in memory, the padding of blocked layouts included.
  int64_t padded_elements() const;
  size_t bytes() const { return static_cast<size_t>(padded_elements()) * size_of(dtype); }
  // Index in memory of logical element (n,c,h,w).
  int64_t offset(int64_t n, int64_t c, int64_t h, int64_t w) const;
  std::string str() const;  // "f32 {32,64,55,55} nhwc"

  friend bool operator==(const TensorSpec&, const TensorSpec&) = default;
};

}  // namespace ft
