// One picture from its path into a batch.
#include "io/image_reader.h"

namespace ft {

const ImageNotes& ImageReader::read(const std::filesystem::path& path, bool mirrored,
                                    uint8_t* slot) {
  const FileBytes file = read_image_file(path, options_.limits);
  return read(image_bytes(file), path.string(), mirrored, slot);
}

const ImageNotes& ImageReader::read(ByteSpan bytes, std::string_view name, bool mirrored,
                                    uint8_t* slot) {
  decoder_.decode(bytes, name, image_);
  const ResizePlan plan = plan_resize(spec_, image_.width, image_.height);
  resizer_.run(image_.rgb.data(), image_.width, image_.height, plan, mirrored, slot);
  return image_.notes;
}

}  // namespace ft
