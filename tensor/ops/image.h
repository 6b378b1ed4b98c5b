// From decoded pixels to the first tensor of a network.
#pragma once

#include <array>

namespace ft {

// dst[n,c,h,w] = (scale * pixel[n,h,w,c'] - mean[c]) / deviation[c], c' = c for RGB and 2-c for BGR.
// mean and deviation are in the order of the network's channels.
struct NormalizeSpec {
  double scale = 1;  // 1 for networks on 0-255, 1/255 for torchvision's
  std::array<double, 3> mean{};
  std::array<double, 3> deviation{1, 1, 1};
  bool bgr = false;
};

}  // namespace ft
