// The orientation tag of an Exif block, and pictures turned by it. The reader looks at the first
// directory only and never outside of the block, whatever its offsets say. Pure functions, any
// thread. Source: Exif 2.32, section 4.6.4 (tag 0x0112); TIFF 6.0, section 2.
#pragma once

#include <vector>

#include "io/image_bytes.h"

namespace ft {

struct ExifOrientation {
  int value = 1;         // 1 … 8; 1 if the block says nothing usable
  bool damaged = false;  // the block contradicts itself; the orientation was ignored
};

// `tiff` is the block after "Exif\0\0"; empty is fine.
ExifOrientation read_exif_orientation(ByteSpan tiff);

// Writes the picture as it is meant to be seen.
//   rgb {height,width,3}, orientation 1 … 8 -> out {height,width,3}, for 5 … 8 {width,height,3}
void turn_picture(const uint8_t* rgb, int width, int height, int orientation,
                  std::vector<uint8_t>& out);

}  // namespace ft
