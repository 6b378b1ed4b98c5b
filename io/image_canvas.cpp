// Drawing. Glyphs come from stb_easy_font as rectangles on a grid of 12 units a line.
#include "io/image_canvas.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>

#include "io/resize.h"
#include "tensor/error.h"

#include <stb_easy_font.h>

namespace ft {
namespace {

constexpr int kFontLine = 12;
constexpr size_t kQuadBytes = 64, kBytesACharacter = 2048;

// stb_easy_font knows ' ' … '~'. A UTF-8 sequence becomes one '?'.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if ((c >= ' ' && c <= '~') || c == '\n') {
      out += c;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      out += '?';
    }
  }
  return out;
}

uint8_t mixed(uint8_t below, uint8_t above, float opacity) {
  const float v = static_cast<float>(below) + (static_cast<float>(above) - below) * opacity;
  return static_cast<uint8_t>(v + 0.5f);
}

void mix_into(uint8_t* pixel, Rgb color, float opacity) {
  pixel[0] = mixed(pixel[0], color.r, opacity);
  pixel[1] = mixed(pixel[1], color.g, opacity);
  pixel[2] = mixed(pixel[2], color.b, opacity);
}

// How much of the pixel [at, at + 1) the interval [low, high) covers.
float coverage(int at, float low, float high) {
  const auto left = static_cast<float>(at);
  return std::clamp(std::min(high, left + 1) - std::max(low, left), 0.0f, 1.0f);
}

Box clipped(const Box& box, const Canvas& canvas) {
  const int64_t right = std::min<int64_t>(int64_t{box.x} + box.width, canvas.width);
  const int64_t bottom = std::min<int64_t>(int64_t{box.y} + box.height, canvas.height);
  const int x = std::max(box.x, 0), y = std::max(box.y, 0);
  return {x, y, static_cast<int>(std::max<int64_t>(right - x, 0)),
          static_cast<int>(std::max<int64_t>(bottom - y, 0))};
}

uint8_t* pixel_of(Canvas& canvas, int x, int y) {
  return &canvas.rgb[3 * (static_cast<size_t>(y) * static_cast<size_t>(canvas.width) +
                          static_cast<size_t>(x))];
}

// A rectangle whose edges lie between pixels: its border pixels are covered in part.
void fill_smooth(Canvas& canvas, float x0, float y0, float x1, float y1, Rgb color) {
  const auto first = [](float v) { return static_cast<int>(std::floor(v)); };
  const auto size = [](float a, float b) {
    return static_cast<int>(std::ceil(b)) - static_cast<int>(std::floor(a));
  };
  const Box box = clipped({first(x0), first(y0), size(x0, x1), size(y0, y1)}, canvas);
  for (int y = box.y; y < box.y + box.height; ++y) {
    for (int x = box.x; x < box.x + box.width; ++x) {
      mix_into(pixel_of(canvas, x, y), color, coverage(x, x0, x1) * coverage(y, y0, y1));
    }
  }
}

}  // namespace

Rgb heat_color(float value) {
  struct Stop {
    float at, r, g, b;
  };
  static constexpr std::array<Stop, 5> kStops = {{{0, 20, 20, 120},
                                                  {0.3f, 0, 140, 220},
                                                  {0.5f, 60, 210, 150},
                                                  {0.75f, 250, 220, 40},
                                                  {1, 220, 20, 20}}};
  const float v = value >= 0 ? std::min(value, 1.0f) : 0;  // NaN compares false
  size_t i = 1;
  while (i + 1 < kStops.size() && v > kStops[i].at) ++i;
  const Stop &a = kStops[i - 1], &b = kStops[i];
  const float t = (v - a.at) / (b.at - a.at);
  const auto channel = [t](float from, float to) {
    return static_cast<uint8_t>(from + (to - from) * t + 0.5f);
  };
  return {channel(a.r, b.r), channel(a.g, b.g), channel(a.b, b.b)};
}

int text_width(std::string_view text, int px) {
  std::string clean = printable(text);
  return (stb_easy_font_width(clean.data()) * px + kFontLine - 1) / kFontLine;
}

std::string fit_text(std::string_view text, int px, int width) {
  std::string clean = printable(text);
  if (text_width(clean, px) <= width) return clean;
  while (!clean.empty() && text_width(clean + "..", px) > width) clean.pop_back();
  return clean.empty() ? "" : clean + "..";
}

Canvas::Canvas(int w, int h, Rgb background) : width(w), height(h) {
  FT_CHECK(w >= 1 && h >= 1, "a canvas has at least one pixel");
  rgb.resize(static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
  fill({0, 0, w, h}, background);
}

void Canvas::fill(const Box& box, Rgb color, float opacity) {
  const Box b = clipped(box, *this);
  for (int y = b.y; y < b.y + b.height; ++y) {
    uint8_t* p = b.width > 0 ? pixel_of(*this, b.x, y) : nullptr;
    for (int x = 0; x < b.width; ++x, p += 3) mix_into(p, color, opacity);
  }
}

void Canvas::frame(const Box& box, Rgb color, int thickness) {
  const int t = std::min({thickness, (box.width + 1) / 2, (box.height + 1) / 2});
  fill({box.x, box.y, box.width, t}, color);
  fill({box.x, box.y + box.height - t, box.width, t}, color);
  fill({box.x, box.y + t, t, box.height - 2 * t}, color);
  fill({box.x + box.width - t, box.y + t, t, box.height - 2 * t}, color);
}

void Canvas::picture(const Box& box, const uint8_t* from, int w, int h, float opacity) {
  const Box b = clipped(box, *this);
  if (b.width == 0 || b.height == 0) return;
  const ResizePlan plan{box.width, box.height, b.x - box.x, b.y - box.y, b.width, b.height};
  std::vector<uint8_t> scaled(plan.bytes());
  Resizer().run(from, w, h, plan, false, scaled.data());
  const uint8_t* s = scaled.data();
  for (int y = b.y; y < b.y + b.height; ++y) {
    uint8_t* p = pixel_of(*this, b.x, y);
    for (int i = 0; i < 3 * b.width; ++i) p[i] = mixed(p[i], *s++, opacity);
  }
}

// Values are scaled as 8-bit grey and coloured afterwards: between two colours of the scale lie
// other colours of the scale, not their mixture.
void Canvas::heat_map(const Box& box, const float* values, int w, int h, float opacity) {
  const Box b = clipped(box, *this);
  if (b.width == 0 || b.height == 0) return;
  std::vector<uint8_t> grey;
  for (ptrdiff_t i = 0; i < ptrdiff_t{w} * h; ++i) {
    const float v = values[i] >= 0 ? std::min(values[i], 1.0f) : 0;
    grey.insert(grey.end(), 3, static_cast<uint8_t>(255 * v + 0.5f));
  }
  const ResizePlan plan{box.width, box.height, b.x - box.x, b.y - box.y, b.width, b.height};
  std::vector<uint8_t> scaled(plan.bytes());
  Resizer().run(grey.data(), w, h, plan, false, scaled.data());
  const uint8_t* s = scaled.data();
  for (int y = b.y; y < b.y + b.height; ++y) {
    uint8_t* p = pixel_of(*this, b.x, y);
    for (int x = 0; x < b.width; ++x, p += 3, s += 3) mix_into(p, heat_color(*s / 255.0f), opacity);
  }
}

void Canvas::text(int x, int y, std::string_view text, int px, Rgb color) {
  std::string clean = printable(text);
  const size_t bytes = clean.size() * kBytesACharacter;
  if (bytes == 0) return;
  const std::unique_ptr<char[]> quads(new char[bytes]);
  const int count =
      stb_easy_font_print(0, 0, clean.data(), nullptr, quads.get(), static_cast<int>(bytes));
  const float scale = static_cast<float>(px) / kFontLine;
  const auto left = static_cast<float>(x), top = static_cast<float>(y);
  for (int i = 0; i < count; ++i) {
    float corner[2], opposite[2];  // vertices 0 and 2 of a quad: x, y, then z and a colour
    std::memcpy(corner, &quads[static_cast<size_t>(i) * kQuadBytes], sizeof corner);
    std::memcpy(opposite, &quads[static_cast<size_t>(i) * kQuadBytes + 32], sizeof opposite);
    fill_smooth(*this, left + corner[0] * scale, top + corner[1] * scale,
                left + opposite[0] * scale, top + opposite[1] * scale, color);
  }
}

}  // namespace ft
