// A BMP file checked against its own header, before any decoder sees it: sides, kind, offsets, and
// that every pixel row is in the file. clean_bmp() then writes a plain file: one fixed header, a
// palette filled up with black to 256 entries, the pixel rows. Pure functions, any thread. Read: 1,
// 4, 8, 16, 24, 32 bits, bit fields; refused by name: run-length, embedded JPEG/PNG, top-down.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "io/image_bytes.h"
#include "io/image_check.h"

namespace ft {

// What the header says. Spans refer to the checked bytes.
struct BmpLayout {
  int width = 0, height = 0;
  int bits = 0;                     // of a pixel
  std::array<uint32_t, 4> masks{};  // red, green, blue, alpha; for 16 and 32 bits
  size_t palette_entry_bytes = 4;   // 3 in OS/2 headers
  ByteSpan palette, rows;           // rows are padded to 4 bytes, the lowest row first
};

// Throws ft::Error E2106, E2111, E2112 or E2113 about `name`.
BmpLayout check_bmp(ByteSpan bytes, std::string_view name, const ImageLimits& limits);

// Rebuilds a minimal file into `out`, reusing its capacity.
void clean_bmp(const BmpLayout& layout, std::vector<uint8_t>& out);

}  // namespace ft
