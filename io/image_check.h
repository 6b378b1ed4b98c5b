// What makes an image file unacceptable: the fault numbers, the limits, and the one way to refuse.
// Every refusal is an ft::Error that names the file, what was seen and what to do; nothing is
// repaired silently. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ft {

// Error numbers of image files (docs/errors.md). Two faults never share a number.
enum class ImageFault : int {
  other_format = 2104,      // a picture, but WebP, GIF, HEIC, AVIF, TIFF, SVG, …
  not_an_image = 2105,      // HTML page, Git LFS pointer, PDF, unknown bytes
  unsupported_kind = 2106,  // JPEG, PNG or BMP of a kind that the decoder does not know
  jpeg_ends_early = 2107,   // no end marker
  jpeg_damaged = 2108,      // segments that contradict each other or the standard
  png_ends_early = 2109,    // no IEND chunk, or fewer pixels than the header says
  png_damaged = 2110,       // wrong checksum, chunk order or length
  bmp_damaged = 2111,       // header that contradicts itself, or pixel data short
  zero_side = 2112,         // width or height of 0
  too_large = 2113,         // side or pixels beyond the limits
  too_many_scans = 2114,    // progressive JPEG made to burn time
  decoder_refused = 2115,   // passed our checks, refused by the decoder; its words in brackets
  read = 2120,              // first number of read_file_bytes: 2121 missing, … 2127 changed
  empty = 2125,             // the same, for bytes that came from elsewhere
  no_memory = 4121,         // the machine has no memory for this picture
};

// Refused from the header, before anything is allocated.
struct ImageLimits {
  int64_t max_side = 32768;
  int64_t max_pixels = 64'000'000;  // about 192 MB of RGB
  uint64_t max_file_bytes = uint64_t{1} << 30;
};

// Throws ft::Error with the remedy that belongs to `fault`.
[[noreturn]] void refuse_image(ImageFault fault, std::string_view name, const std::string& seen);

// Refuses sides of zero, sides beyond max_side and pictures beyond max_pixels.
void check_sides(int64_t width, int64_t height, const ImageLimits& limits, std::string_view name);

// 48213 -> "48,213".
std::string grouped(int64_t number);

}  // namespace ft
