// Pictures into file bytes: PNG and JPEG. The bytes go to whoever writes files (io/atomic_file).
// Pure functions, any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace ft {

// pixels {height,width,channels}, 1 grey, 2 grey + alpha, 3 RGB, 4 RGB + alpha; no padding.
// Lossless. Throws ft::Error E4122 if there is no memory for it.
std::vector<uint8_t> encode_png(const uint8_t* pixels, int width, int height, int channels = 3);

// rgb {height,width,3}. quality 1 … 100; above 90 colours are stored at full resolution.
// Throws ft::Error E4122 if there is no memory for it.
std::vector<uint8_t> encode_jpeg(const uint8_t* rgb, int width, int height, int quality = 90);

}  // namespace ft
