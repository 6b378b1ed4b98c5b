// libjpeg-turbo: a faster decoder of JPEG files beside stb_image, where the build found it. It computes the exact
// inverse transform and interpolates the colours, as stb_image does; on the same file the two differ by what
// rounding allows (tests/io/image_turbo_test.cpp holds the bound). Any warning refuses the file.
#pragma once

#include <cstdint>
#include <vector>

#include "io/decode_result.h"
#include "io/image_bytes.h"

namespace ft {

// "libjpeg-turbo 2.1.5", or "" where the build has none and decode_with_turbo may not be called.
const char* turbo_version();

// Grey and three-component JPEG bytes that our walk has checked -> `rgb` {height,width,3}, reusing its capacity;
// grey is replicated. Takes at most about cap_bytes for its own work. Sides that differ from the expected ones are
// refused. Any thread.
DecodeResult decode_with_turbo(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                               std::vector<uint8_t>& rgb);

}  // namespace ft
