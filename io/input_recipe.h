// How a picture becomes the input of a network. It travels inside every weight file, because
// weights used with another recipe load cleanly and predict badly. A plain value.
//
// From decoded pixels (8 bits, RGB) to the input {1, 3, height, width}, in this order:
//   1 resize   squash:    to height x width, the aspect is not kept.
//              crop:      the shorter side to short_side, the aspect is kept; then the central
//                         height x width is cut out.
//              letterbox: the whole picture as large as fits in height x width, the aspect is kept,
//                         centred on the mean colour of step 3 (rounded to 8 bits).
//              The resizer is the project's only one: triangle filter, antialiased, 8-bit result.
//   2 colour   channel c of the input is R, G, B for rgb and B, G, R for bgr, c = 0, 1, 2.
//   3 numbers  x[c] = (pixel[c] * scale - mean[c]) / std[c], pixel in 0..255. mean and std stand in
//              the channel order of step 2.
// Examples: torchvision scale 1/255, mean 0.485 0.456 0.406, std 0.229 0.224 0.225, rgb; Caffe's
// AlexNet scale 1, mean 104.00699 116.66877 122.67891, std 1 1 1, bgr.
#pragma once

#include <array>

namespace ft {

enum class ResizeMode { squash, crop, letterbox };

// "squash", "crop" or "letterbox".
const char* name_of(ResizeMode mode);
enum class ColourOrder { rgb, bgr };

struct InputRecipe {
  int height = 0, width = 0;
  ResizeMode resize = ResizeMode::squash;
  int short_side = 0;  // crop: at least height and width; otherwise 0
  ColourOrder colour_order = ColourOrder::rgb;
  double scale = 1;
  std::array<double, 3> mean = {0, 0, 0};
  std::array<double, 3> std = {1, 1, 1};

  bool operator==(const InputRecipe&) const = default;
};

}  // namespace ft
