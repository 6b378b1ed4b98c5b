// What a file is, by its first bytes and never by its name. Pure functions, any thread.
#pragma once

#include <filesystem>
#include <string_view>

#include "io/image_bytes.h"

namespace ft {

enum class FileKind {
  empty,
  jpeg,
  png,
  bmp,  // these three are decoded
  gif,
  webp,
  tiff,
  heic,
  avif,
  jpeg2000,
  jpeg_xl,
  svg,
  psd,  // pictures that are not decoded
  html,
  git_lfs,
  pdf,
  zip,
  unknown,  // no pictures
};

// Looks at the first kilobyte at most.
FileKind sniff(ByteSpan bytes);

// For messages: "a WebP image", "an HTML page", …
std::string_view describe(FileKind kind);

// A JPEG, PNG or BMP.
bool is_decodable(FileKind kind);

// A picture of any format, decodable or not.
bool is_picture(FileKind kind);

// False if the name's extension promises another picture format than `kind`, as cat.png holding a
// JPEG. Names without a known picture extension promise nothing.
bool extension_fits(const std::filesystem::path& path, FileKind kind);

}  // namespace ft
