// All that a loader thread does with one picture: path -> bytes -> checked -> RGB -> resized pixels
// in its slot of the batch. Owns every buffer on the way. One object a thread.
//   ImageReader reader(spec);
//   reader.read(path, {.mirrored = flip}, batch + i * reader.slot_bytes());
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

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

  // What is done to a picture beyond its recipe, as augmentation draws it.
  struct View {
    bool mirrored = false;         // left and right exchanged
    std::optional<CropAt> crop{};  // crop: where the window lies; without: in the centre
  };

  // Fills `slot`. The notes are valid until the next call.
  // Throws what read_image_file, ImageDecoder::decode and plan_resize throw; `slot` is then
  // untouched.
  const ImageNotes& read(const std::filesystem::path& path, const View& view, uint8_t* slot);

  // The same for bytes that are in memory already.
  const ImageNotes& read(ByteSpan bytes, std::string_view name, const View& view, uint8_t* slot);

  // The picture as it was before resizing; valid until the next call.
  const Image& image() const { return image_; }

 private:
  void letterbox(const ResizePlan& plan, bool mirrored, uint8_t* slot);

  ResizeSpec spec_;
  ImageOptions options_;
  ImageDecoder decoder_;
  Resizer resizer_;
  Image image_;
  std::vector<uint8_t> boxed_;  // the picture of a letterbox before it is placed
};

}  // namespace ft
