// A tensor as the writers of other programs' files take it: a name, a shape and numbers that it borrows. A plain value.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ft {

struct PlainTensor {
  enum class Type : uint8_t { f32, i64 };
  std::string name;
  std::vector<int64_t> shape;  // empty: a single number
  Type type = Type::f32;
  std::span<const std::byte> bytes;  // row-major, little-endian
};

}  // namespace ft
