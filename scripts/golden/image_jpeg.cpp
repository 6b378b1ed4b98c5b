// Makes tests/golden/image_jpeg.h: tiny JPEG files of every kind with the RGB that libjpeg-turbo
// gives.
//   g++ -O1 scripts/golden/image_jpeg.cpp -ljpeg -o /tmp/image_jpeg && /tmp/image_jpeg >
//   tests/golden/image_jpeg.h
// Needs libjpeg-turbo with arithmetic coding (made with 2.1.5). CMYK becomes RGB by the formula of
// io/image.h: stored values are inverted ink, R = C K / 255 rounded to nearest.
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <jpeglib.h>

using Bytes = std::vector<unsigned char>;
using Setup = std::function<void(jpeg_compress_struct&)>;

constexpr int kWidth = 37, kHeight = 21;

// Smooth colours with an edge: what JPEG is made for, so that two decoders may differ by rounding
// only.
int drawn(int x, int y, int c) {
  const int smooth = 40 + 3 * x + 5 * y + 20 * c + (x * y * (c + 1)) / 12;
  return (x > 20 && y < 12 ? 255 - smooth / 2 : smooth) & 255;
}

Bytes encode(J_COLOR_SPACE in, int components, const Setup& setup) {
  jpeg_compress_struct c{};
  jpeg_error_mgr error{};
  c.err = jpeg_std_error(&error);
  jpeg_create_compress(&c);
  unsigned char* memory = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&c, &memory, &size);
  c.image_width = kWidth;
  c.image_height = kHeight;
  c.input_components = components;
  c.in_color_space = in;
  jpeg_set_defaults(&c);
  jpeg_set_quality(&c, 90, TRUE);
  setup(c);
  jpeg_start_compress(&c, TRUE);
  Bytes row(static_cast<size_t>(kWidth * components));
  while (c.next_scanline < c.image_height) {
    for (int x = 0; x < kWidth; ++x) {
      for (int k = 0; k < components; ++k) row[x * components + k] = drawn(x, c.next_scanline, k);
    }
    JSAMPROW p = row.data();
    jpeg_write_scanlines(&c, &p, 1);
  }
  jpeg_finish_compress(&c);
  Bytes out(memory, memory + size);
  jpeg_destroy_compress(&c);
  std::free(memory);
  return out;
}

Bytes decode(const Bytes& file) {
  jpeg_decompress_struct d{};
  jpeg_error_mgr error{};
  d.err = jpeg_std_error(&error);
  jpeg_create_decompress(&d);
  jpeg_mem_src(&d, file.data(), file.size());
  jpeg_read_header(&d, TRUE);
  const int n = d.num_components == 4 ? 4 : 3;
  d.out_color_space = n == 4 ? JCS_CMYK : JCS_RGB;
  d.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&d);
  Bytes row(static_cast<size_t>(kWidth * n)), out;
  while (d.output_scanline < d.output_height) {
    JSAMPROW p = row.data();
    jpeg_read_scanlines(&d, &p, 1);
    for (int x = 0; x < kWidth; ++x) {
      for (int k = 0; k < 3; ++k) {
        out.push_back(n == 3 ? row[3 * x + k] : (2 * row[4 * x + k] * row[4 * x + 3] + 255) / 510);
      }
    }
  }
  jpeg_finish_decompress(&d);
  if (error.num_warnings != 0) std::exit(1);
  jpeg_destroy_decompress(&d);
  return out;
}

void print_hex(const Bytes& bytes, const char* end) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i % 45 == 0) std::printf("%s     \"", i == 0 ? "" : "\"\n");
    std::printf("%02x", bytes[i]);
  }
  std::printf("\"%s", end);
}

void print(const char* name, const char* notes, const Bytes& file, bool decodable = true) {
  std::printf("    {\"%s\", %d, %d, \"%s\",\n", name, kWidth, kHeight, notes);
  print_hex(file, ",\n");
  if (decodable) {
    print_hex(decode(file), "},\n");
  } else {
    std::printf("     \"\"},\n");
  }
}

Setup sampling(int h, int v) {
  return [=](jpeg_compress_struct& c) {
    c.comp_info[0].h_samp_factor = h;
    c.comp_info[0].v_samp_factor = v;
  };
}

Bytes without_adobe(Bytes file) {
  for (size_t i = 0; i + 16 <= file.size(); ++i) {
    if (file[i] == 0xFF && file[i + 1] == 0xEE) {
      file.erase(file.begin() + i, file.begin() + i + 16);
      return file;
    }
  }
  std::exit(1);
}

int main() {
  std::puts(
      "// Made by scripts/golden/image_jpeg.cpp with libjpeg-turbo: JPEG files, 37 x 21 pixels, "
      "and the\n"
      "// RGB they must give (nothing where the kind is refused).\n#pragma once\n\n// clang-format "
      "off\n"
      "#include \"tests/golden/image_golden.h\"\n\nnamespace ft::test {\n\n"
      "inline const GoldenImage kGoldenJpeg[] = {");
  const auto rgb = [](const Setup& s) { return encode(JCS_RGB, 3, s); };
  print("444", "", rgb(sampling(1, 1)));
  print("422", "", rgb(sampling(2, 1)));
  print("420", "", rgb(sampling(2, 2)));
  print("440", "", rgb(sampling(1, 2)));
  print("411", "", rgb(sampling(4, 1)));
  print("restart", "", rgb([](auto& c) { c.restart_interval = 2; }));
  print("optimized", "", rgb([](auto& c) { c.optimize_coding = TRUE; }));
  print("progressive", "", rgb([](auto& c) { jpeg_simple_progression(&c); }));
  print("progressive_restart", "", rgb([](auto& c) {
          jpeg_simple_progression(&c);
          c.restart_interval = 3;
        }));
  static const jpeg_scan_info kThree[] = {
      {1, {0}, 0, 63, 0, 0}, {1, {1}, 0, 63, 0, 0}, {1, {2}, 0, 63, 0, 0}};
  print("three_scans", "", rgb([](auto& c) {
          c.scan_info = kThree;
          c.num_scans = 3;
        }));
  print("grey", "grey", encode(JCS_GRAYSCALE, 1, [](auto&) {}));
  print("grey_progressive", "grey",
        encode(JCS_GRAYSCALE, 1, [](auto& c) { jpeg_simple_progression(&c); }));
  print("adobe_rgb", "", rgb([](auto& c) { jpeg_set_colorspace(&c, JCS_RGB); }));
  const Bytes cmyk = encode(JCS_CMYK, 4, [](auto&) {});
  print("cmyk", "cmyk", cmyk);
  print("cmyk_plain", "cmyk", without_adobe(cmyk));
  print("ycck", "cmyk", encode(JCS_CMYK, 4, [](auto& c) { jpeg_set_colorspace(&c, JCS_YCCK); }));
  print("two_components", "", encode(JCS_UNKNOWN, 2, [](auto&) {}), false);
  print("arithmetic", "", rgb([](auto& c) { c.arith_code = TRUE; }), false);
  print("arithmetic_progressive", "", rgb([](auto& c) {
          c.arith_code = TRUE;
          jpeg_simple_progression(&c);
        }),
        false);
  std::puts("};\n\n}  // namespace ft::test");
}
