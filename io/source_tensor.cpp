// From the number formats of weight files to f32, exactly or not at all.
#include "io/source_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "io/huge_pages.h"
#include "tensor/dtype.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr int64_t kMostElements = int64_t{1} << 48;

template <class T>
T load(const std::byte* at, bool swapped) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  if (!swapped) return value;
  auto* bytes = reinterpret_cast<std::byte*>(&value);
  std::reverse(bytes, bytes + sizeof(T));
  return value;
}

// IEEE 754 binary16. Every value of it is a value of f32.
float from_half(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = h >> 10 & 0x1f, fraction = h & 0x3ff;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000 | fraction << 13);
  if (exponent != 0) return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
  const float small = std::ldexp(static_cast<float>(fraction), -24);
  return sign != 0 ? -small : small;
}

size_t bytes_of(NumberType type) {
  switch (type) {
    case NumberType::f32:
      return 4;
    case NumberType::f64:
      return 8;
    default:
      return 2;
  }
}

float number_at(const std::byte* at, NumberType type, bool swapped, const std::string& where) {
  switch (type) {
    case NumberType::f32:
      return load<float>(at, swapped);
    case NumberType::f16:
      return from_half(load<uint16_t>(at, swapped));
    case NumberType::bf16:
      return from_bf16(load<uint16_t>(at, swapped));
    default:
      break;
  }
  return exact_float(load<double>(at, swapped), where);
}

bool is_row_major(const StridedNumbers& n) {
  const std::vector<int64_t> dense = row_major_strides(n.shape);
  for (size_t d = 0; d < dense.size(); ++d)
    if (n.shape[d] > 1 && n.stride[d] != dense[d]) return false;
  return true;
}

}  // namespace

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  bool empty = false;
  for (int64_t side : shape) {
    if (side < 0) return -1;
    empty |= side == 0;
    if (side > 0 && count > (kMostElements - 1) / side) return -1;
    if (side > 0) count *= side;
  }
  return empty ? 0 : count;
}

float exact_float(double value, const std::string& where) {
  const auto nearest = static_cast<float>(value);
  if (static_cast<double>(nearest) != value && !std::isnan(value))
    throw Error(2357, where,
                fmt::format("holds the 64-bit number {}, which 32 bits cannot hold exactly", value),
                "save it in 32 bits with its own tool");
  return nearest;
}

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;)
    stride[d - 1] = stride[d] * std::max<int64_t>(shape[d], 1);
  return stride;
}

std::vector<float> read_numbers(const StridedNumbers& n, const std::string& type,
                                const std::string& where) {
  if (n.type == NumberType::other)
    throw Error(2357, where, fmt::format("holds numbers of type {}, which are not converted", type),
                "save it as 32-bit or 16-bit floats with its own tool");
  const int64_t count = element_count(n.shape);
  FT_CHECK(count >= 0 && n.shape.size() == n.stride.size(), "a tensor without a size");
  auto values = make_large_vector<float>(static_cast<size_t>(count));
  if (count == 0) return values;
  const bool swapped = n.big_endian != (std::endian::native == std::endian::big);
  const size_t size = bytes_of(n.type);
  const std::byte* first = n.storage.data() + n.first * size;
  if (is_row_major(n) && n.type == NumberType::f32 && !swapped) {
    std::memcpy(values.data(), first, values.size() * sizeof(float));
    return values;
  }
  std::vector<int64_t> index(n.shape.size(), 0);
  int64_t at = 0;
  for (float& value : values) {
    value = number_at(first + static_cast<size_t>(at) * size, n.type, swapped, where);
    for (size_t d = index.size(); d-- > 0;) {
      at += n.stride[d];
      if (++index[d] < n.shape[d]) break;
      at -= n.stride[d] * n.shape[d];
      index[d] = 0;
    }
  }
  return values;
}

}  // namespace ft
