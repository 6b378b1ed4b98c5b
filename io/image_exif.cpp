// Exif orientation.
#include "io/image_exif.h"

#include <array>
#include <cstring>

namespace ft {
namespace {

constexpr uint32_t kOrientationTag = 0x0112, kShort = 3, kLong = 4;

}  // namespace

ExifOrientation read_exif_orientation(ByteSpan tiff) {
  if (tiff.empty()) return {};
  constexpr ExifOrientation kDamaged{.value = 1, .damaged = true};
  if (tiff.size() < 8) return kDamaged;
  const bool little = tiff[0] == 'I' && tiff[1] == 'I';
  if (!little && !(tiff[0] == 'M' && tiff[1] == 'M')) return kDamaged;
  const auto get16 = [&](size_t at) { return little ? le16(tiff, at) : be16(tiff, at); };
  const auto get32 = [&](size_t at) { return little ? le32(tiff, at) : be32(tiff, at); };
  if (get16(2) != 42) return kDamaged;
  const size_t directory = get32(4);
  if (directory < 8 || directory > tiff.size() - 2) return kDamaged;
  const size_t count = get16(directory);
  for (size_t i = 0; i < count; ++i) {
    const size_t entry = directory + 2 + 12 * i;
    if (entry + 12 > tiff.size()) return kDamaged;
    if (get16(entry) != kOrientationTag) continue;
    const uint32_t type = get16(entry + 2);
    if ((type != kShort && type != kLong) || get32(entry + 4) != 1) return kDamaged;
    const uint32_t value = type == kShort ? get16(entry + 8) : get32(entry + 8);
    if (value == 0) return {};  // some cameras write 0 for "unknown"
    return value <= 8 ? ExifOrientation{static_cast<int>(value), false} : kDamaged;
  }
  return {};
}

void turn_picture(const uint8_t* rgb, int width, int height, int orientation,
                  std::vector<uint8_t>& out) {
  // Source pixel of output (0, 0), and the steps through the source for one output pixel and row.
  const ptrdiff_t w = width, h = height, last = w * h - 1;
  struct Walk {
    ptrdiff_t start, step_x, step_y;
  };
  const std::array<Walk, 9> walks = {{{0, 1, w},              // not used
                                      {0, 1, w},              // 1 as stored
                                      {w - 1, -1, w},         // 2 mirrored left to right
                                      {last, -1, -w},         // 3 turned by 180 degrees
                                      {last - w + 1, 1, -w},  // 4 mirrored top to bottom
                                      {0, w, 1},              // 5 mirrored at the main diagonal
                                      {last - w + 1, -w, 1},  // 6 turned clockwise
                                      {last, -w, -1},         // 7 mirrored at the other diagonal
                                      {w - 1, w, -1}}};       // 8 turned counterclockwise
  const Walk& walk = walks[static_cast<size_t>(orientation)];
  const bool sideways = orientation >= 5;
  const int out_w = sideways ? height : width, out_h = sideways ? width : height;
  out.resize(static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
  uint8_t* to = out.data();
  for (int y = 0; y < out_h; ++y) {
    const uint8_t* from = rgb + 3 * (walk.start + y * walk.step_y);
    for (int x = 0; x < out_w; ++x, to += 3, from += 3 * walk.step_x) std::memcpy(to, from, 3);
  }
}

}  // namespace ft
