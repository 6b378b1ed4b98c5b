// stb_image_write, compiled once.
#include "io/image_write.h"

#include "tensor/error.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb_image_write.h>

namespace ft {
namespace {

void append(void* context, void* data, int size) {
  auto& out = *static_cast<std::vector<uint8_t>*>(context);
  const auto* bytes = static_cast<const uint8_t*>(data);
  out.insert(out.end(), bytes, bytes + size);
}

void check_arguments(const void* pixels, int width, int height) {
  FT_CHECK(pixels != nullptr && width > 0 && height > 0, "a picture to write has pixels");
}

std::vector<uint8_t> checked(int written, std::vector<uint8_t> out) {
  if (written == 0) {
    throw Error(4122, "picture", "no memory left to write it as a file",
                "free memory, then run the same command again");
  }
  return out;
}

}  // namespace

std::vector<uint8_t> encode_png(const uint8_t* pixels, int width, int height, int channels) {
  check_arguments(pixels, width, height);
  FT_CHECK(channels >= 1 && channels <= 4, "PNG has 1 to 4 channels");
  std::vector<uint8_t> out;
  const int written =
      stbi_write_png_to_func(append, &out, width, height, channels, pixels, width * channels);
  return checked(written, std::move(out));
}

std::vector<uint8_t> encode_jpeg(const uint8_t* rgb, int width, int height, int quality) {
  check_arguments(rgb, width, height);
  FT_CHECK(quality >= 1 && quality <= 100, "JPEG quality lies between 1 and 100");
  std::vector<uint8_t> out;
  const int written = stbi_write_jpg_to_func(append, &out, width, height, 3, rgb, quality);
  return checked(written, std::move(out));
}

}  // namespace ft
