// A picture to draw on: contact sheets, heat maps, labels. Everything is clipped at the edges, so
// callers need not care. Text is Latin letters, digits and signs of ASCII; any other character
// shows as
// '?'. Owns its pixels; not thread-safe.
//   Canvas sheet(640, 480);
//   sheet.picture({10, 10, 224, 224}, rgb, w, h);
//   sheet.text(10, 240, "ants 0.97", 16, {200, 0, 0});
//   bytes = encode_png(sheet.rgb.data(), sheet.width, sheet.height);
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ft {

struct Rgb {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Rgb&) const = default;
};

struct Box {
  int x = 0, y = 0, width = 0, height = 0;
};

// Colour of a value between 0 and 1 for heat maps: dark blue, cyan, yellow, red. Values outside
// count as the nearest end, NaN as 0.
Rgb heat_color(float value);

// Size of one line of text at a line height of `px` pixels; 12 and 24 are sharpest, 12 the smallest
// that is legible.
int text_width(std::string_view text, int px);

// `text`, or as much of its start as fits into `width` pixels with ".." behind it.
std::string fit_text(std::string_view text, int px, int width);

struct Canvas {
  // width, height >= 1.
  Canvas(int width, int height, Rgb background = {255, 255, 255});

  // opacity 0 leaves what is there, 1 covers it.
  void fill(const Box& box, Rgb color, float opacity = 1);
  // A line of `thickness` along the inside of the box's edge.
  void frame(const Box& box, Rgb color, int thickness = 1);
  // rgb {h,w,3}, scaled with antialiasing to fill `box`.
  void picture(const Box& box, const uint8_t* rgb, int w, int h, float opacity = 1);
  // values {h,w} between 0 and 1, scaled smoothly to `box`, in heat_color().
  void heat_map(const Box& box, const float* values, int w, int h, float opacity = 0.5f);
  // One line or, with '\n', several; (x, y) is the upper left corner.
  void text(int x, int y, std::string_view text, int px, Rgb color);

  Rgb at(int x, int y) const {
    const uint8_t* p =
        &rgb[3 * (static_cast<size_t>(y) * static_cast<size_t>(width) + static_cast<size_t>(x))];
    return {p[0], p[1], p[2]};
  }

  int width, height;
  std::vector<uint8_t> rgb;  // {height,width,3}
};

}  // namespace ft
