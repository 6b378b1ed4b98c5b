// One antialiased resizer for everything: the bytes that Pillow's Image.resize(BILINEAR) gives, and
// torchvision's Resize + CenterCrop on PIL images. Horizontal pass first, then vertical, 8 bits
// between. Flow for a batch: a loader thread owns one Resizer and writes straight into its slot:
//   resizer.run(image.rgb.data(), image.width, image.height, plan, flip, batch + i * plan.bytes());
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "io/input_recipe.h"
#include "io/resize_kernels.h"
#include "io/resize_taps.h"

namespace ft {

struct ResizeSpec {
  ResizeMode mode = ResizeMode::squash;
  int width = 224, height = 224;    // of the result
  int short_side = 256;             // crop only; at least max(width, height)
  std::array<uint8_t, 3> border{};  // letterbox only: what stands beside the picture, R, G, B
};

// How a recipe is done: its border is the colour that becomes about 0 in the network's input.
ResizeSpec resize_spec(const InputRecipe& recipe);

// Where the window of a crop lies in what is left over, 0 to 1 from left and from top. (0.5, 0.5) is not quite the
// centre as torchvision rounds it: for that, give none.
struct CropAt {
  float x = 0, y = 0;
};

// Scale the whole picture to scaled_width x scaled_height, keep the given window of it.
struct ResizePlan {
  int scaled_width = 0, scaled_height = 0;
  int left = 0, top = 0, width = 0, height = 0;
  size_t bytes() const { return static_cast<size_t>(width) * static_cast<size_t>(height) * 3; }
};

// What `spec` means for a picture of in_width x in_height. As torchvision does it, the long side is
// floor(short_side * long / short) and the crop starts at (scaled - crop) / 2, halves rounded to
// even; `at` moves the window of a crop. A letterbox is planned without its border: the result may be narrower or lower
// than the spec. Throws ft::Error E2130 if the spec contradicts itself.
ResizePlan plan_resize(const ResizeSpec& spec, int in_width, int in_height,
                       const CropAt* at = nullptr);

// Scratch rows and tables of the sizes met lately; neither is allocated anew once a dataset's sizes
// have been seen. One object a thread; copying is not needed.
class Resizer {
 public:
  explicit Resizer(const ResizeKernels& kernels = best_resize_kernels()) : kernels_(&kernels) {}
  Resizer(const Resizer&) = delete;
  Resizer& operator=(const Resizer&) = delete;

  // rgb {height,width,3} -> out {plan.height,plan.width,3}, overwritten. mirrored: left and right
  // of the result are exchanged. `out` may not overlap `rgb`.
  void run(const uint8_t* rgb, int width, int height, const ResizePlan& plan, bool mirrored,
           uint8_t* out);

 private:
  struct Entry {
    ResizeTaps taps;
    uint64_t last_use = 0;
  };
  const ResizeTaps& taps_for(int in, int out, int first, int count);
  void horizontal(const uint8_t* rgb, int width, int height, int first_row, int rows,
                  const ResizeTaps& taps, bool mirrored, uint8_t* out);

  const ResizeKernels* kernels_;
  std::vector<Entry> cache_;
  uint64_t uses_ = 0;
  std::vector<uint8_t> scratch_, padded_;
};

}  // namespace ft
