// A JPEG file walked segment by segment, before any decoder sees it. The walk
//   - finds the end marker by following lengths and scan data, so that the end marker of an
//   embedded
//     thumbnail does not count, and a file cut anywhere before its own end marker is refused: the
//     walk over the cut file is the walk over the whole file until the bytes run out;
//   - checks every table and header that the decoder relies on, and that every component has pixel
//   data;
//   - refuses by name what the decoder does not know (arithmetic, lossless, 12-bit, …).
// clean_jpeg() then writes a stream of checked segments only, so the decoder parses nothing that
// was not seen here. Pure functions, any thread. Source: ITU-T T.81, annexes B and C; the colour
// rules are those of libjpeg.
#pragma once

#include <string_view>
#include <vector>

#include "io/image_bytes.h"
#include "io/image_check.h"

namespace ft {

// What the walk learned. Spans and offsets refer to the walked bytes.
struct JpegLayout {
  struct Piece {
    size_t offset, bytes;
  };
  int width = 0, height = 0, components = 0;
  bool progressive = false;
  int scans = 0;
  size_t end = 0;             // just past the end marker; what follows is not part of the picture
  ByteSpan exif;              // the TIFF block of the first Exif segment, empty if there is none
  int adobe_transform = -1;   // APP14 to be told to the decoder: 0 RGB or CMYK, 2 YCCK, -1 none
  std::vector<Piece> pieces;  // tables, frame, scans with their data, in file order
};

// More scans than any encoder writes. Each costs a pass over the picture, at about 2 ns a pixel, so
// that for large pictures it is the product that counts.
inline constexpr int kMaxJpegScans = 100;
inline constexpr int64_t kMaxJpegScanPixels = 1'600'000'000;

// Throws ft::Error E2106, E2107, E2108, E2112, E2113 or E2114 about `name`.
JpegLayout walk_jpeg(ByteSpan bytes, std::string_view name, const ImageLimits& limits);

// Rebuilds the stream from layout.pieces into `out`, reusing its capacity. A four-component picture
// without a usable Adobe marker is declared to be inverted CMYK, as Pillow and browsers take it.
void clean_jpeg(ByteSpan bytes, const JpegLayout& layout, std::vector<uint8_t>& out);

}  // namespace ft
