// Element types. Values only.
//   f64 exists on the reference backend alone, for gradient checks; bf16 is the upper half of an f32.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ft {

enum class DType : uint8_t { f64, f32, bf16, f16, u8, i32, u64 };

size_t size_of(DType type);
std::string_view name_of(DType type);

// f32 -> bf16, round to nearest even, NaN stays NaN; and back, exactly.
uint16_t to_bf16(float value);
float from_bf16(uint16_t bits);

}  // namespace ft
