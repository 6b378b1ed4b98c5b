// The one door to stb_image: JPEG, PNG and BMP bytes that our walks have checked become RGB.
// Every block of memory that the decoder asks for is zero-filled and counted against a cap, so its
// output is a function of the file alone. Any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/image_bytes.h"

namespace ft {

struct StbResult {
  enum class Outcome { decoded, refused, cap_reached, no_memory } outcome = Outcome::refused;
  std::string reason;  // the decoder's words, when refused
};

// Decodes into `rgb` {height,width,3}, reusing its capacity. Grey is replicated, alpha dropped, 16
// bits become 8 by the high byte. At most cap_bytes are held at a time. Sides that differ from the
// expected ones are refused.
StbResult decode_with_stb(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                          std::vector<uint8_t>& rgb);

}  // namespace ft
