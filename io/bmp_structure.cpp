// The header check of a BMP file.
#include "io/bmp_structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <string>

namespace ft {
namespace {

constexpr size_t kFileHeader = 14, kV4Header = 108;

[[noreturn]] void damaged(std::string_view name, const std::string& what) {
  refuse_image(ImageFault::bmp_damaged, name, "damaged BMP: " + what);
}

[[noreturn]] void unsupported(std::string_view name, const std::string& kind) {
  refuse_image(ImageFault::unsupported_kind, name, "unsupported BMP kind: " + kind);
}

bool known_header(uint32_t bytes) {
  return bytes == 12 || bytes == 40 || bytes == 52 || bytes == 56 || bytes == 64 || bytes == 108 ||
         bytes == 124;
}

// A run of ones, at most 8 of them: what fits a sample of ours.
bool good_mask(uint32_t mask) {
  if (mask == 0) return false;
  const uint32_t run = mask >> std::countr_zero(mask);
  return (run & (run + 1)) == 0 && std::popcount(mask) <= 8;
}

void read_masks(ByteSpan b, size_t header_bytes, uint32_t compression, BmpLayout& out,
                std::string_view name) {
  if (compression == 0) {
    out.masks = out.bits == 16 ? std::array<uint32_t, 4>{0x7C00, 0x03E0, 0x001F, 0}
                               : std::array<uint32_t, 4>{0xFF0000, 0xFF00, 0xFF, 0};
    return;
  }
  const size_t at = kFileHeader + 40;
  const bool alpha = header_bytes >= 56 && header_bytes != 64;
  if (b.size() < at + (alpha ? 16 : 12)) damaged(name, "the header is cut short");
  for (size_t i = 0; i < 3; ++i) out.masks[i] = le32(b, at + 4 * i);
  if (alpha) out.masks[3] = le32(b, at + 12);
  const auto& m = out.masks;
  const bool overlap = (m[0] & m[1]) != 0 || (m[0] & m[2]) != 0 || (m[1] & m[2]) != 0;
  if (!good_mask(m[0]) || !good_mask(m[1]) || !good_mask(m[2]) || overlap ||
      (m[3] != 0 && !good_mask(m[3]))) {
    damaged(name, "colour masks that overlap or hold more than 8 bits");
  }
}

void check_kind(uint32_t compression, BmpLayout& out, std::string_view name) {
  if (compression == 1 || compression == 2) unsupported(name, "run-length coding");
  if (compression == 4 || compression == 5) unsupported(name, "embedded JPEG or PNG");
  const int bits = out.bits;
  const bool plain = bits == 1 || bits == 4 || bits == 8 || bits == 16 || bits == 24 || bits == 32;
  if (!plain) damaged(name, fmt::format("{} bits per pixel do not exist", bits));
  if (compression != 0 && (compression != 3 || (bits != 16 && bits != 32))) {
    damaged(name, fmt::format("compression {} with {} bits does not exist", compression, bits));
  }
}

void put_le(std::vector<uint8_t>& out, uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}

}  // namespace

BmpLayout check_bmp(ByteSpan b, std::string_view name, const ImageLimits& limits) {
  if (b.size() < 26) damaged(name, "the header is cut short");
  const uint64_t offset = le32(b, 10);
  const uint32_t header_bytes = le32(b, 14);
  if (!known_header(header_bytes)) {
    damaged(name, fmt::format("a header of {} bytes does not exist", header_bytes));
  }
  if (b.size() < kFileHeader + header_bytes) damaged(name, "the header is cut short");
  const bool os2 = header_bytes == 12;
  const auto side = [&](size_t at) {
    return os2 ? static_cast<int32_t>(le16(b, at)) : static_cast<int32_t>(le32(b, at));
  };
  const int32_t width = side(18), height = side(os2 ? 20 : 22);
  if (height < 0 && width > 0) {
    unsupported(name, fmt::format("top-down rows (a height of {})", height));
  }
  check_sides(width, height, limits, name);
  BmpLayout out;
  out.width = width;
  out.height = height;
  out.bits = static_cast<int>(le16(b, os2 ? 24 : 28));
  const uint32_t compression = os2 ? 0 : le32(b, 30);
  check_kind(compression, out, name);
  size_t palette_at = kFileHeader + header_bytes;
  if (out.bits >= 16 && out.bits != 24) {
    read_masks(b, header_bytes, compression, out, name);
    if (header_bytes == 40 && compression == 3) palette_at += 12;
  }
  const uint64_t row_bytes = (static_cast<uint64_t>(out.width) * out.bits + 31) / 32 * 4;
  const uint64_t pixel_bytes = row_bytes * static_cast<uint64_t>(out.height);
  if (offset < palette_at || offset > b.size() || pixel_bytes > b.size() - offset) {
    damaged(name,
            fmt::format("pixel data is short: {} bytes in the file, {} x {} pixels at byte {}",
                        b.size(), width, height, offset));
  }
  out.rows = b.subspan(offset, pixel_bytes);
  out.palette_entry_bytes = os2 ? 3 : 4;
  if (out.bits <= 8) {
    const size_t most = (size_t{1} << out.bits) * out.palette_entry_bytes;
    out.palette = b.subspan(palette_at, std::min<size_t>(offset - palette_at, most));
    if (out.palette.size() < out.palette_entry_bytes) damaged(name, "no palette");
  }
  return out;
}

void clean_bmp(const BmpLayout& layout, std::vector<uint8_t>& out) {
  const bool indexed = layout.bits <= 8;
  const bool masked = layout.bits == 16 || layout.bits == 32;
  const size_t offset = kFileHeader + kV4Header + (indexed ? 1024 : 0);
  out.assign({'B', 'M'});
  put_le(out, offset + layout.rows.size(), 4);
  put_le(out, 0, 4);
  put_le(out, offset, 4);
  put_le(out, kV4Header, 4);
  put_le(out, static_cast<uint32_t>(layout.width), 4);
  put_le(out, static_cast<uint32_t>(layout.height), 4);
  put_le(out, 1, 2);
  put_le(out, static_cast<uint32_t>(layout.bits), 2);
  put_le(out, masked ? 3 : 0, 4);
  put_le(out, layout.rows.size(), 4);
  out.resize(kFileHeader + 40, 0);
  for (size_t i = 0; i < 3; ++i) put_le(out, masked ? layout.masks[i] : 0, 4);
  out.resize(kFileHeader + kV4Header, 0);  // alpha is dropped: its mask stays 0
  if (indexed) {
    for (size_t i = 0; i + layout.palette_entry_bytes <= layout.palette.size();
         i += layout.palette_entry_bytes) {
      const auto entry = layout.palette.subspan(i, 3);
      out.insert(out.end(), entry.begin(), entry.end());
      out.push_back(0);
    }
    out.resize(offset, 0);
  }
  out.insert(out.end(), layout.rows.begin(), layout.rows.end());
}

}  // namespace ft
