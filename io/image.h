// Pictures out of files: JPEG, PNG and BMP bytes become 8-bit RGB, or an ft::Error that names the
// file.
//   load_image(path)                 one picture, the short way
//   ImageDecoder                     the same with buffers that are reused; one a thread
//   ImageReader in io/image_reader.h path to resized pixels in a batch
// What a file is, its content decides, never its name. A picture is accepted only after our own
// walk over its structure (jpeg_structure, png_structure, bmp_structure); the decoder then sees
// checked parts only. Rules, the same for every file and counted through ImageNotes:
//   grey is replicated to three channels · alpha is dropped, not blended · of 16 bits the high byte
//   stays · the Exif orientation is applied (can be switched off) · colour profiles and gamma are
//   ignored · CMYK and YCCK JPEG: values count as inverted, 0 is full ink, with and without an
//   Adobe marker (as
//     Pillow, Firefox and Skia do); R = C K / 255 rounded to nearest, G and B likewise from M and
//     Y; YCCK is first turned into CMY by the JPEG formulas.
// A bit flip inside JPEG scan data can decode to other pixels without any error: no walk can see
// it; a dataset manifest with hashes can.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "io/file_bytes.h"
#include "io/image_bytes.h"
#include "io/image_check.h"
#include "io/image_sniff.h"
#include "io/image_stb.h"
#include "io/image_turbo.h"

namespace ft {

// What was done to a picture, or noticed, so that callers can count it.
struct ImageNotes {
  FileKind kind = FileKind::unknown;
  bool grey = false;            // one channel, replicated
  bool alpha = false;           // alpha channel or transparent colours, dropped
  bool sixteen_bit = false;     // high byte kept
  bool cmyk = false;            // CMYK or YCCK, converted
  bool oriented = false;        // turned or mirrored by the Exif orientation
  bool exif_damaged = false;    // Exif block unreadable, orientation taken as 1
  bool name_mismatch = false;   // the extension promises another format
  bool extreme_aspect = false;  // one side more than 100 times the other
};

// rgb {height,width,3}, no padding.
struct Image {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;
  ImageNotes notes;
};

struct ImageOptions {
  ImageLimits limits;
  bool apply_orientation = true;
  bool turbo = true;  // JPEG by libjpeg-turbo where the build has it; false: always by stb_image
};

// Turns bytes into pictures; buffers grow to the largest picture seen and stay. One object a
// thread.
class ImageDecoder {
 public:
  explicit ImageDecoder(const ImageOptions& options = {}) : options_(options) {}

  // `name` stands in messages and its extension is compared with the content.
  // Throws ft::Error E21xx about the file, E4121 if the machine has no memory for it.
  void decode(ByteSpan bytes, std::string_view name, Image& out);

  // The structure checks alone: size as it will be decoded, and notes; out.rgb is emptied.
  void check(ByteSpan bytes, std::string_view name, Image& out);

 private:
  int check_and_clean(ByteSpan bytes, std::string_view name, Image& out);
  DecodeResult decode_clean(int64_t cap_bytes, Image& out);

  ImageOptions options_;
  DecoderMemory memory_;
  std::vector<uint8_t> clean_, turned_;
};

Image decode_image(ByteSpan bytes, std::string_view name, const ImageOptions& options = {});
Image load_image(const std::filesystem::path& path, const ImageOptions& options = {});

// Whole file. Anything but a regular file is refused without being opened, so a FIFO cannot hang
// the caller; interrupted and short reads go on. Throws ft::Error E2121 … E2127, E5030.
FileBytes read_image_file(const std::filesystem::path& path, const ImageLimits& limits = {});
ByteSpan image_bytes(const FileBytes& file);

}  // namespace ft
