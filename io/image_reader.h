// All that a loader thread does with one picture: path -> bytes -> checked -> RGB -> resized pixels
// in its slot of the batch. Owns every buffer on the way. One object a thread.
//   ImageReader reader(spec);
//   reader.read(path, flip, batch + i * reader.slot_bytes());
#pragma once

#include <filesystem>

#include "io/image.h"
#include "io/resize.h"

namespace ft {

class ImageReader {
 public:
  explicit ImageReader(const ResizeSpec& spec, const ImageOptions& options = {})
      : spec_(spec), options_(options), decoder_(options) {}

  // Bytes of one picture in a batch: spec.height x spec.width x 3, rows without padding.
  size_t slot_bytes() const {
    return static_cast<size_t>(spec_.width) * static_cast<size_t>(spec_.height) * 3;
  }

  // Fills `slot`; mirrored exchanges left and right. The notes are valid until the next call.
  // Throws what read_image_file, ImageDecoder::decode and plan_resize throw; `slot` is then
  // untouched.
  const ImageNotes& read(const std::filesystem::path& path, bool mirrored, uint8_t* slot);

  // The same for bytes that are in memory already.
  const ImageNotes& read(ByteSpan bytes, std::string_view name, bool mirrored, uint8_t* slot);

  // The picture as it was before resizing; valid until the next call.
  const Image& image() const { return image_; }

 private:
  ResizeSpec spec_;
  ImageOptions options_;
  ImageDecoder decoder_;
  Resizer resizer_;
  Image image_;
};

}  // namespace ft
