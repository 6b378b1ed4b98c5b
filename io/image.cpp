// From file to RGB.
#include "io/image.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <tuple>
#include <utility>

#include "io/bmp_structure.h"
#include "io/image_exif.h"
#include "io/image_stb.h"
#include "io/jpeg_structure.h"
#include "io/png_structure.h"
#include "tensor/error.h"

namespace ft {
namespace {

[[noreturn]] void wrong_kind(FileKind kind, std::string_view name) {
  if (kind == FileKind::empty) {
    refuse_image(ImageFault::empty, name, "the file is empty (0 bytes), expected a picture");
  }
  if (is_picture(kind)) {
    refuse_image(ImageFault::other_format, name,
                 fmt::format("this is {}, which is not supported; expected JPEG, PNG or BMP",
                             describe(kind)));
  }
  refuse_image(ImageFault::not_an_image, name,
               kind == FileKind::unknown
                   ? "not a picture of a known format, expected JPEG, PNG or BMP"
                   : fmt::format("this is {}, expected JPEG, PNG or BMP", describe(kind)));
}

// Everything that decoding a picture of these sides can honestly need: planes padded to whole
// blocks, coefficients or 16-bit samples, the unpacked stream, the output; and copies of the file
// itself.
int64_t memory_cap(int64_t width, int64_t height, size_t file_bytes) {
  return (int64_t{1} << 20) + 4 * static_cast<int64_t>(file_bytes) +
         32 * (width + 32) * (height + 32);
}

[[noreturn]] void refused_by_decoder(const DecodeResult& result, std::string_view name) {
  using Outcome = DecodeResult::Outcome;
  if (result.outcome == Outcome::no_memory) {
    refuse_image(ImageFault::no_memory, name, "no memory left to decode the picture");
  }
  if (result.outcome == Outcome::cap_reached) {
    refuse_image(ImageFault::decoder_refused, name,
                 "damaged: decoding asks for more memory than a picture of this size can need");
  }
  if (result.reason == "not enough pixels") {
    refuse_image(ImageFault::png_ends_early, name,
                 "PNG pixel data is short: it unpacks to fewer pixels than the header says");
  }
  refuse_image(ImageFault::decoder_refused, name,
               fmt::format("damaged: the decoder gave up [{}]", result.reason));
}

}  // namespace

// Walks the file, fills out.width, out.height and out.notes, leaves the decoder's input in clean_
// and returns the orientation.
int ImageDecoder::check_and_clean(ByteSpan bytes, std::string_view name, Image& out) {
  out.notes = {};
  ImageNotes& notes = out.notes;
  notes.kind = sniff(bytes);
  ByteSpan exif;
  if (notes.kind == FileKind::jpeg) {
    const JpegLayout layout = walk_jpeg(bytes, name, options_.limits);
    clean_jpeg(bytes, layout, clean_);
    notes.grey = layout.components == 1;
    notes.cmyk = layout.components == 4;
    exif = layout.exif;
    std::tie(out.width, out.height) = std::pair(layout.width, layout.height);
  } else if (notes.kind == FileKind::png) {
    const PngLayout layout = walk_png(bytes, name, options_.limits);
    clean_png(layout, clean_);
    notes.grey = layout.color == 0 || layout.color == 4;
    notes.alpha = layout.color >= 4 || layout.transparency;
    notes.sixteen_bit = layout.bit_depth == 16;
    exif = layout.exif;
    std::tie(out.width, out.height) = std::pair(layout.width, layout.height);
  } else if (notes.kind == FileKind::bmp) {
    const BmpLayout layout = check_bmp(bytes, name, options_.limits);
    clean_bmp(layout, clean_);
    notes.alpha = layout.masks[3] != 0;
    std::tie(out.width, out.height) = std::pair(layout.width, layout.height);
  } else {
    wrong_kind(notes.kind, name);
  }
  notes.name_mismatch = !extension_fits(std::filesystem::path(name), notes.kind);
  const auto [small, large] = std::minmax(out.width, out.height);
  notes.extreme_aspect = large > 100 * int64_t{small};
  const ExifOrientation orientation = read_exif_orientation(exif);
  notes.exif_damaged = orientation.damaged;
  notes.oriented = options_.apply_orientation && orientation.value != 1;
  return notes.oriented ? orientation.value : 1;
}

void ImageDecoder::check(ByteSpan bytes, std::string_view name, Image& out) {
  const int orientation = check_and_clean(bytes, name, out);
  if (orientation >= 5) std::swap(out.width, out.height);
  out.rgb.clear();
}

// CMYK is turned into RGB by rules of our own, which stb_image's output fits.
DecodeResult ImageDecoder::decode_clean(int64_t cap_bytes, Image& out) {
  const bool turbo = options_.turbo && *turbo_version() != '\0' &&
                     out.notes.kind == FileKind::jpeg && !out.notes.cmyk;
  return turbo ? decode_with_turbo(clean_, out.width, out.height, cap_bytes, out.rgb)
               : decode_with_stb(clean_, out.width, out.height, cap_bytes, memory_, out.rgb);
}

void ImageDecoder::decode(ByteSpan bytes, std::string_view name, Image& out) {
  const int orientation = check_and_clean(bytes, name, out);
  const int64_t cap = memory_cap(out.width, out.height, bytes.size());
  const DecodeResult result = decode_clean(cap, out);
  if (result.outcome != DecodeResult::Outcome::decoded) refused_by_decoder(result, name);
  if (orientation == 1) return;
  turn_picture(out.rgb.data(), out.width, out.height, orientation, turned_);
  std::swap(out.rgb, turned_);
  if (orientation >= 5) std::swap(out.width, out.height);
}

Image decode_image(ByteSpan bytes, std::string_view name, const ImageOptions& options) {
  Image image;
  ImageDecoder(options).decode(bytes, name, image);
  return image;
}

FileBytes read_image_file(const std::filesystem::path& path, const ImageLimits& limits) {
  FileReadOptions options;
  options.first_error = static_cast<int>(ImageFault::read);
  options.what = "picture";
  options.max_bytes = limits.max_file_bytes;
  try {
    return read_file_bytes(path, options);
  } catch (const Error& e) {
    if (e.status() != ExitStatus::bad_input) throw;
    throw Error(e.number(), e.where(), e.seen(), e.remedy() + ", or run with --bad-images=skip");
  }
}

ByteSpan image_bytes(const FileBytes& file) {
  return {reinterpret_cast<const uint8_t*>(file.text().data()), file.size()};
}

Image load_image(const std::filesystem::path& path, const ImageOptions& options) {
  return decode_image(image_bytes(read_image_file(path, options.limits)), path.string(), options);
}

}  // namespace ft
