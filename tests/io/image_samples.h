// Pictures and files for the image tests: drawn by formula, encoded by our own writer, and cut,
// bent and broken by byte. Header-only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "io/image.h"
#include "io/image_write.h"
#include "io/png_structure.h"
#include "tensor/error.h"
#include "tensor/rng.h"

namespace ft::test {

using Bytes = std::vector<uint8_t>;

// Smooth colours with an edge, RGB {height,width,3}.
inline Bytes drawn_picture(int width, int height) {
  Bytes rgb;
  rgb.reserve(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const int ramp = (30 + 5 * x + 3 * y + 40 * c) % 510;
        const int smooth = ramp < 256 ? ramp : 510 - ramp;
        rgb.push_back(
            static_cast<uint8_t>(x > width / 2 && y < height / 3 ? 200 - 60 * c : smooth));
      }
    }
  }
  return rgb;
}

inline Bytes drawn_png(int width, int height) {
  return encode_png(drawn_picture(width, height).data(), width, height);
}

inline Bytes drawn_jpeg(int width, int height, int quality = 85) {
  return encode_jpeg(drawn_picture(width, height).data(), width, height, quality);
}

// A 24-bit BMP file.
inline Bytes drawn_bmp(int width, int height) {
  const Bytes rgb = drawn_picture(width, height);
  const size_t row = (static_cast<size_t>(width) * 3 + 3) / 4 * 4;
  Bytes out(54 + row * static_cast<size_t>(height), 0);
  const auto put = [&](size_t at, uint32_t v) { std::memcpy(&out[at], &v, 4); };
  std::memcpy(out.data(), "BM", 2);
  put(2, static_cast<uint32_t>(out.size()));
  put(10, 54);
  put(14, 40);
  put(18, static_cast<uint32_t>(width));
  put(22, static_cast<uint32_t>(height));
  put(26, 1 | 24u << 16);
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < 3 * width; ++i) {
      const int from = (height - 1 - y) * width * 3 + i / 3 * 3 + 2 - i % 3;
      out[54 + static_cast<size_t>(y) * row + static_cast<size_t>(i)] =
          rgb[static_cast<size_t>(from)];
    }
  }
  return out;
}

inline Bytes from_hex(std::string_view text) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<uint8_t>(digit(text[i]) * 16 + digit(text[i + 1])));
  }
  return out;
}

inline std::string to_text(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }
inline Bytes to_bytes(std::string_view text) { return {text.begin(), text.end()}; }

inline void put_be32(Bytes& b, size_t at, uint32_t v) {
  for (size_t i = 0; i < 4; ++i) b[at + i] = static_cast<uint8_t>(v >> (24 - 8 * i));
}

inline void append(Bytes& to, const Bytes& from) { to.insert(to.end(), from.begin(), from.end()); }

// A PNG chunk with its right checksum.
inline Bytes png_chunk(std::string_view type, const Bytes& data) {
  Bytes out(4);
  put_be32(out, 0, static_cast<uint32_t>(data.size()));
  append(out, to_bytes(type));
  append(out, data);
  const uint32_t crc = crc32({out.data() + 4, out.size() - 4});
  out.resize(out.size() + 4);
  put_be32(out, out.size() - 4, crc);
  return out;
}

inline Bytes png_header(uint32_t width, uint32_t height, int bits, int color) {
  Bytes d(13, 0);
  put_be32(d, 0, width);
  put_be32(d, 4, height);
  d[8] = static_cast<uint8_t>(bits);
  d[9] = static_cast<uint8_t>(color);
  return d;
}

inline const Bytes kPngSignature = {0x89, 'P', 'N', 'G', 13, 10, 26, 10};

// Signature and the given chunks.
inline Bytes png_file(const std::vector<Bytes>& chunks) {
  Bytes out = kPngSignature;
  for (const Bytes& chunk : chunks) append(out, chunk);
  return out;
}

// A JPEG segment with its length field.
inline Bytes jpeg_segment(int marker, const Bytes& body) {
  const size_t length = body.size() + 2;
  Bytes out = {0xFF, static_cast<uint8_t>(marker), static_cast<uint8_t>(length >> 8),
               static_cast<uint8_t>(length)};
  append(out, body);
  return out;
}

// Offset of the first marker `code` that is followed by a length, or npos. Good enough for files
// whose segments hold no stray FF bytes before it.
inline size_t find_marker(const Bytes& file, int code) {
  for (size_t i = 2; i + 1 < file.size(); ++i) {
    if (file[i] == 0xFF && file[i + 1] == code) return i;
  }
  return std::string::npos;
}

inline Bytes inserted(Bytes file, size_t at, const Bytes& what) {
  file.insert(file.begin() + static_cast<ptrdiff_t>(at), what.begin(), what.end());
  return file;
}

// An Exif block (TIFF part) with one orientation entry.
inline Bytes exif_block(int orientation, bool little) {
  const auto put16 = [&](Bytes& b, int v) {
    const auto low = static_cast<uint8_t>(v), high = static_cast<uint8_t>(v >> 8);
    b.insert(b.end(), {little ? low : high, little ? high : low});
  };
  Bytes b = little ? Bytes{'I', 'I'} : Bytes{'M', 'M'};
  put16(b, 42);
  for (const int v :
       little ? std::vector{8, 0, 1, 0x112, 3, 1, 0} : std::vector{0, 8, 1, 0x112, 3, 0, 1})
    put16(b, v);
  put16(b, orientation);
  b.resize(b.size() + 6, 0);  // rest of the value, no further directory
  return b;
}

inline Bytes exif_segment(const Bytes& tiff) {
  Bytes body = {'E', 'x', 'i', 'f', 0, 0};
  append(body, tiff);
  return jpeg_segment(0xE1, body);
}

// The ft::Error that `action` throws, number 0 if it throws none.
inline Error error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e;
  }
  return Error(0, "", "", "");
}

// Number of the refusal of `file`, 0 if it decodes.
inline int verdict(const Bytes& file, std::string_view name = "x") {
  return error_of([&] { decode_image(file, name); }).number();
}

inline int largest_difference(const Bytes& a, const Bytes& b) {
  if (a.size() != b.size()) return 256;
  int most = 0;
  for (size_t i = 0; i < a.size(); ++i) most = std::max(most, std::abs(int{a[i]} - int{b[i]}));
  return most;
}

}  // namespace ft::test
