// A PNG file walked chunk by chunk, before any decoder sees it: signature, order, lengths,
// checksums and the IEND chunk. clean_png() then writes a file of checked critical chunks only:
// colour chunks that do not change our pixels are gone, transparency is gone (alpha is dropped,
// never blended), and the palette is filled up with black to 256 entries, so that no pixel can
// index past it. Pure functions, any thread. Source: PNG specification, third edition, sections 5,
// 11 and annex D.
#pragma once

#include <string_view>
#include <vector>

#include "io/image_bytes.h"
#include "io/image_check.h"

namespace ft {

// What the walk learned. Spans refer to the walked bytes.
struct PngLayout {
  int width = 0, height = 0;
  int bit_depth = 0;           // of a sample or palette index: 1, 2, 4, 8, 16
  int color = 0;               // 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGB + alpha
  bool transparency = false;   // a tRNS chunk
  size_t end = 0;              // just past IEND; what follows is not part of the picture
  ByteSpan header, palette;    // bodies of IHDR and PLTE
  ByteSpan exif;               // body of eXIf, a TIFF block, empty if there is none
  std::vector<ByteSpan> data;  // bodies of the IDAT chunks, in file order
};

// Throws ft::Error E2106, E2109, E2110, E2112 or E2113 about `name`.
PngLayout walk_png(ByteSpan bytes, std::string_view name, const ImageLimits& limits);

// Rebuilds a minimal file into `out`, reusing its capacity. Checksums in it are left at zero: the
// walk has checked the real ones and the decoder checks none.
void clean_png(const PngLayout& layout, std::vector<uint8_t>& out);

// CRC-32 as PNG and zlib use it (polynomial 0xEDB88320, reflected).
uint32_t crc32(ByteSpan bytes);

}  // namespace ft
