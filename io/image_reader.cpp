// One picture from its path into a batch.
#include "io/image_reader.h"

#include <cstring>

namespace ft {

const ImageNotes& ImageReader::read(const std::filesystem::path& path, const View& view,
                                    uint8_t* slot) {
  const FileBytes file = read_image_file(path, options_.limits);
  return read(image_bytes(file), path.string(), view, slot);
}

const ImageNotes& ImageReader::read(ByteSpan bytes, std::string_view name, const View& view,
                                    uint8_t* slot) {
  decoder_.decode(bytes, name, image_);
  const ResizePlan plan =
      plan_resize(spec_, image_.width, image_.height, view.crop ? &*view.crop : nullptr);
  if (spec_.mode == ResizeMode::letterbox) {
    letterbox(plan, view.mirrored, slot);
  } else {
    resizer_.run(image_.rgb.data(), image_.width, image_.height, plan, view.mirrored, slot);
  }
  return image_.notes;
}

// An odd pixel that is left over lies to the right, or below.
void ImageReader::letterbox(const ResizePlan& plan, bool mirrored, uint8_t* slot) {
  boxed_.resize(plan.bytes());
  resizer_.run(image_.rgb.data(), image_.width, image_.height, plan, mirrored, boxed_.data());
  for (size_t i = 0; i < slot_bytes(); ++i) slot[i] = spec_.border[i % 3];
  const int left = (spec_.width - plan.width) / 2, top = (spec_.height - plan.height) / 2;
  const size_t row = 3 * static_cast<size_t>(plan.width);
  for (int y = 0; y < plan.height; ++y)
    std::memcpy(slot + 3 * (static_cast<size_t>(top + y) * static_cast<size_t>(spec_.width) +
                            static_cast<size_t>(left)),
                boxed_.data() + static_cast<size_t>(y) * row, row);
}

}  // namespace ft
