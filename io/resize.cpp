// The resizer: which rows and columns are needed, and the two passes over them.
#include "io/resize.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kCachedTables = 64;

int crop_offset(int size, int window) {
  const int rest = size - window, half = rest / 2;
  return rest % 2 != 0 && half % 2 != 0 ? half + 1 : half;
}

// The offset at a fraction of all that there are.
int crop_offset(int size, int window, float at) {
  const int choices = size - window + 1;
  return std::clamp(static_cast<int>(at * static_cast<float>(choices)), 0, choices - 1);
}

// The largest sides with the aspect of the picture that fit; the shorter one rounded, and at least 1.
ResizePlan plan_letterbox(const ResizeSpec& spec, int64_t in_width, int64_t in_height) {
  const bool wide = in_width * spec.height >= in_height * spec.width;
  const auto scaled = [](int64_t side, int64_t to, int64_t from) {
    return static_cast<int>(std::max<int64_t>(1, (2 * side * to + from) / (2 * from)));
  };
  const int w = wide ? spec.width : scaled(in_width, spec.height, in_height);
  const int h = wide ? scaled(in_height, spec.width, in_width) : spec.height;
  return {w, h, 0, 0, w, h};
}

}  // namespace

const char* name_of(ResizeMode mode) {
  switch (mode) {
    case ResizeMode::squash:
      return "squash";
    case ResizeMode::crop:
      return "crop";
    case ResizeMode::letterbox:
      return "letterbox";
  }
  return "?";
}

ResizeSpec resize_spec(const InputRecipe& recipe) {
  ResizeSpec spec{recipe.resize, recipe.width, recipe.height, recipe.short_side, {}};
  for (size_t c = 0; c < 3; ++c) {
    const double grey =
        recipe.mean[recipe.colour_order == ColourOrder::rgb ? c : 2 - c] / recipe.scale;
    spec.border[c] = static_cast<uint8_t>(std::lround(std::clamp(grey, 0.0, 255.0)));
  }
  return spec;
}

ResizePlan plan_resize(const ResizeSpec& spec, int in_width, int in_height, const CropAt* at) {
  FT_CHECK(in_width > 0 && in_height > 0, "a picture has at least one pixel");
  const bool crop = spec.mode == ResizeMode::crop;
  if (spec.width < 1 || spec.height < 1 ||
      (crop && spec.short_side < std::max(spec.width, spec.height))) {
    throw Error(
        2130, "resize",
        fmt::format("short side {} and a crop of {} x {}, expected sides of at least 1 and a "
                    "short side not below the crop",
                    spec.short_side, spec.width, spec.height),
        "choose a larger short side or a smaller input size");
  }
  if (spec.mode == ResizeMode::squash)
    return {spec.width, spec.height, 0, 0, spec.width, spec.height};
  if (spec.mode == ResizeMode::letterbox) return plan_letterbox(spec, in_width, in_height);
  const int64_t small = std::min(in_width, in_height), large = std::max(in_width, in_height);
  const int long_side = static_cast<int>(spec.short_side * large / small);
  const int w = in_width <= in_height ? spec.short_side : long_side;
  const int h = in_width <= in_height ? long_side : spec.short_side;
  const int left = at != nullptr ? crop_offset(w, spec.width, at->x) : crop_offset(w, spec.width);
  const int top = at != nullptr ? crop_offset(h, spec.height, at->y) : crop_offset(h, spec.height);
  return {w, h, left, top, spec.width, spec.height};
}

// The table of the longest unused entry is overwritten, so that memory stays bounded.
const ResizeTaps& Resizer::taps_for(int in, int out, int first, int count) {
  ++uses_;
  for (Entry& entry : cache_) {
    const ResizeTaps& t = entry.taps;
    if (t.in == in && t.out == out && t.first == first && t.count == count) {
      entry.last_use = uses_;
      return t;
    }
  }
  if (cache_.capacity() == 0) cache_.reserve(kCachedTables);  // references stay valid
  if (cache_.size() < kCachedTables) cache_.emplace_back();
  Entry& oldest = *std::ranges::min_element(cache_, {}, &Entry::last_use);
  oldest.last_use = uses_;
  build_resize_taps(in, out, first, count, oldest.taps);
  return oldest.taps;
}

// Two rows a call. Rows so near to the end of the picture that the kernel would read past it go
// through a padded copy.
void Resizer::horizontal(const uint8_t* rgb, int width, int height, int first_row, int rows,
                         const ResizeTaps& taps, bool mirrored, uint8_t* out) {
  const size_t in_bytes = 3 * static_cast<size_t>(width);
  const size_t out_bytes = 3 * static_cast<size_t>(taps.count);
  const size_t total = in_bytes * static_cast<size_t>(height);
  padded_.resize(2 * (in_bytes + kResizeOverread));
  const auto input = [&](int row, size_t slot) -> const uint8_t* {
    const size_t at = in_bytes * static_cast<size_t>(row);
    if (at + in_bytes + kResizeOverread <= total) return rgb + at;
    uint8_t* copy = padded_.data() + slot * (in_bytes + kResizeOverread);
    std::memcpy(copy, rgb + at, in_bytes);
    return copy;
  };
  for (int i = 0; i < rows; i += 2) {
    const int second = std::min(i + 1, rows - 1);  // an odd last row is done twice
    const uint8_t* in[2] = {input(first_row + i, 0), input(first_row + second, 1)};
    uint8_t* to[2] = {out + out_bytes * static_cast<size_t>(i),
                      out + out_bytes * static_cast<size_t>(second)};
    kernels_->rows(in, taps, mirrored, to);
  }
}

void Resizer::run(const uint8_t* rgb, int width, int height, const ResizePlan& plan, bool mirrored,
                  uint8_t* out) {
  const ResizeTaps& x_taps = taps_for(width, plan.scaled_width, plan.left, plan.width);
  const ResizeTaps& y_taps = taps_for(height, plan.scaled_height, plan.top, plan.height);
  // An axis that keeps its size has weights of exactly 1, so its pass would change nothing.
  const bool keeps_width = plan.scaled_width == width, keeps_height = plan.scaled_height == height;
  const int first_row = keeps_height ? plan.top : y_taps.start.front();
  const int rows =
      keeps_height ? plan.height : y_taps.start.back() + y_taps.taps.back() - first_row;
  const int out_bytes = 3 * plan.width;
  const uint8_t* middle = rgb + 3 * ptrdiff_t{plan.left};
  ptrdiff_t stride = 3 * ptrdiff_t{width};
  if (!keeps_width || mirrored) {
    scratch_.resize(keeps_height ? 0 : static_cast<size_t>(rows) * static_cast<size_t>(out_bytes));
    uint8_t* to = keeps_height ? out : scratch_.data();
    horizontal(rgb, width, height, first_row, rows, x_taps, mirrored, to);
    if (keeps_height) return;
    stride = out_bytes;
    middle = to - first_row * stride;
  }
  for (int y = 0; y < plan.height; ++y, out += out_bytes) {
    if (keeps_height) {
      std::memcpy(out, middle + (plan.top + y) * stride, static_cast<size_t>(out_bytes));
    } else {
      kernels_->columns(middle, stride, y_taps, y, out_bytes, out);
    }
  }
}

}  // namespace ft
