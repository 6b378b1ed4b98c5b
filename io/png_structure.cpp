// The chunk walk over a PNG file.
#include "io/png_structure.h"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <string>

namespace ft {
namespace {

constexpr uint8_t kSignature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

// table[k][b] is the CRC of byte b followed by k zero bytes: eight bytes are folded in at once.
constexpr auto kCrcTables = [] {
  std::array<std::array<uint32_t, 256>, 8> table{};
  for (uint32_t b = 0; b < 256; ++b) {
    uint32_t c = b;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
    table[0][b] = c;
  }
  for (size_t k = 1; k < 8; ++k) {
    for (size_t b = 0; b < 256; ++b) {
      table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xFF];
    }
  }
  return table;
}();

// One walk over one file.
class PngWalk {
 public:
  PngWalk(ByteSpan bytes, std::string_view name, const ImageLimits& limits)
      : b_(bytes), name_(name), limits_(limits) {}

  PngLayout run() {
    if (b_.size() < 8) ends_early();
    if (std::memcmp(b_.data(), kSignature, 8) != 0) damaged("the signature is changed");
    at_ = 8;
    while (!chunk()) {
    }
    check_enough_data();
    out_.end = at_;
    return std::move(out_);
  }

 private:
  [[noreturn]] void ends_early() const {
    refuse_image(ImageFault::png_ends_early, name_,
                 fmt::format("PNG ends early (no IEND chunk after byte {0} of {0})",
                             grouped(static_cast<int64_t>(b_.size()))));
  }
  [[noreturn]] void damaged(const std::string& what) const {
    refuse_image(
        ImageFault::png_damaged, name_,
        fmt::format("damaged PNG: {} (near byte {})", what, grouped(static_cast<int64_t>(at_))));
  }
  [[noreturn]] void unsupported(const std::string& kind) const {
    refuse_image(ImageFault::unsupported_kind, name_, "unsupported PNG kind: " + kind);
  }

  // Reads one chunk; true after IEND.
  bool chunk() {
    if (at_ + 12 > b_.size()) ends_early();
    const uint32_t length = be32(b_, at_);
    const ByteSpan type = b_.subspan(at_ + 4, 4);
    for (const uint8_t c : type) {
      const int letter = c | 0x20;
      if (letter < 'a' || letter > 'z') damaged("a chunk type that is no four letters");
    }
    if (length > 0x7FFFFFFFu) damaged("a chunk length beyond the standard");
    if (length > b_.size() - at_ - 12) ends_early();
    if (crc32(b_.subspan(at_ + 4, 4 + size_t{length})) != be32(b_, at_ + 8 + length)) {
      damaged(fmt::format("wrong checksum of chunk {}", text(type)));
    }
    const ByteSpan body = b_.subspan(at_ + 8, length);
    take(text(type), body);
    at_ += 12 + size_t{length};
    return text(type) == "IEND";
  }

  static std::string_view text(ByteSpan type) {
    return {reinterpret_cast<const char*>(type.data()), type.size()};
  }

  void take(std::string_view type, ByteSpan body) {
    if (type == "CgBI") unsupported("Apple's CgBI variant");
    if (out_.width == 0 && type != "IHDR") damaged("the first chunk is not IHDR");
    if (type == "IHDR") return header(body);
    if (type == "PLTE") return palette(body);
    if (type == "IDAT") return out_.data.push_back(body);
    if (type == "tRNS") return transparency(body);
    if (type == "eXIf") {
      out_.exif = body;
    } else if (type == "IEND") {
      if (!body.empty()) damaged("IEND carries data");
      if (out_.data.empty()) damaged("no IDAT chunk");
    } else if ((type[0] & 0x20) == 0) {
      unsupported(fmt::format("critical chunk {}", type));
    }
  }

  void header(ByteSpan d) {
    if (out_.width != 0) damaged("a second IHDR");
    if (d.size() != 13) damaged("IHDR of a wrong length");
    const int64_t width = be32(d, 0), height = be32(d, 4);
    check_sides(width, height, limits_, name_);
    out_.width = static_cast<int>(width);
    out_.height = static_cast<int>(height);
    out_.bit_depth = d[8];
    out_.color = d[9];
    out_.header = d;
    const int depth = out_.bit_depth;
    const bool bits = depth == 1 || depth == 2 || depth == 4;
    const bool good = out_.color == 0   ? bits || depth == 8 || depth == 16
                      : out_.color == 3 ? bits || depth == 8
                                        : depth == 8 || depth == 16;
    const bool known =
        out_.color == 0 || out_.color == 2 || out_.color == 3 || out_.color == 4 || out_.color == 6;
    if (!known || !good) {
      damaged(fmt::format("colour type {} with {} bits does not exist", out_.color, depth));
    }
    if (d[10] != 0 || d[11] != 0 || d[12] > 1) damaged("unknown compression, filter or interlace");
  }

  void palette(ByteSpan d) {
    if (!out_.palette.empty() || !out_.data.empty()) damaged("PLTE at a wrong place");
    if (d.empty() || d.size() % 3 != 0 || d.size() > 768) damaged("PLTE of a wrong length");
    out_.palette = d;
  }

  void transparency(ByteSpan d) {
    if (!out_.data.empty() || out_.color >= 4) damaged("tRNS at a wrong place");
    const bool good = out_.color == 0   ? d.size() == 2
                      : out_.color == 2 ? d.size() == 6
                                        : d.size() <= out_.palette.size() / 3;
    if (!good) damaged("tRNS of a wrong length");
    out_.transparency = true;
  }

  // Deflate packs at most 1032 bytes into one, so too little data is known without unpacking it.
  void check_enough_data() const {
    if (out_.color == 3 && out_.palette.empty()) damaged("a palette picture without PLTE");
    static constexpr int kSamples[] = {1, 0, 3, 1, 2, 0, 4};
    const int64_t row_bits = int64_t{out_.width} * kSamples[out_.color] * out_.bit_depth;
    const int64_t raw = int64_t{out_.height} * (row_bits / 8);
    int64_t packed = 0;
    for (const ByteSpan& d : out_.data) packed += static_cast<int64_t>(d.size());
    if (packed * 1032 < raw) {
      refuse_image(
          ImageFault::png_ends_early, name_,
          fmt::format("PNG pixel data is short: {} packed bytes cannot hold {} x {} pixels",
                      grouped(packed), out_.width, out_.height));
    }
  }

  ByteSpan b_;
  std::string_view name_;
  const ImageLimits& limits_;
  size_t at_ = 0;
  PngLayout out_;
};

void append_chunk(std::vector<uint8_t>& out, const char* type, const std::vector<ByteSpan>& parts,
                  size_t padding) {
  size_t length = padding;
  for (const ByteSpan& part : parts) length += part.size();
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<uint8_t>(length >> shift));
  out.insert(out.end(), type, type + 4);
  for (const ByteSpan& part : parts) out.insert(out.end(), part.begin(), part.end());
  out.insert(out.end(), padding + 4, 0);  // padding, and a checksum that nobody reads
}

}  // namespace

uint32_t crc32(ByteSpan bytes) {
  const auto& t = kCrcTables;
  uint32_t c = 0xFFFFFFFFu;
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const uint32_t a = c ^ le32(bytes, i), b = le32(bytes, i + 4);
    c = t[7][a & 0xFF] ^ t[6][a >> 8 & 0xFF] ^ t[5][a >> 16 & 0xFF] ^ t[4][a >> 24] ^
        t[3][b & 0xFF] ^ t[2][b >> 8 & 0xFF] ^ t[1][b >> 16 & 0xFF] ^ t[0][b >> 24];
  }
  for (; i < bytes.size(); ++i) c = c >> 8 ^ t[0][(c ^ bytes[i]) & 0xFF];
  return ~c;
}

PngLayout walk_png(ByteSpan bytes, std::string_view name, const ImageLimits& limits) {
  return PngWalk(bytes, name, limits).run();
}

void clean_png(const PngLayout& layout, std::vector<uint8_t>& out) {
  out.assign(std::begin(kSignature), std::end(kSignature));
  append_chunk(out, "IHDR", {layout.header}, 0);
  if (layout.color == 3) append_chunk(out, "PLTE", {layout.palette}, 768 - layout.palette.size());
  append_chunk(out, "IDAT", layout.data, 0);
  append_chunk(out, "IEND", {}, 0);
}

}  // namespace ft
