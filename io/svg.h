// A small SVG writer: shapes and text in the order in which they are drawn, no scripts, no links to
// anything outside. Text is escaped here and nowhere else. Owns its text; one thread at a time.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ft {

// Okabe and Ito's palette, told apart also by colour-blind people, and the greys of axes and text.
namespace colour {
constexpr const char* kBlue = "#0072B2";
constexpr const char* kVermilion = "#D55E00";
constexpr const char* kText = "#222222";
constexpr const char* kFaint = "#666666";
constexpr const char* kAxis = "#888888";
constexpr const char* kGrid = "#E4E4E4";
constexpr const char* kWhite = "#FFFFFF";
}  // namespace colour

struct TextStyle {
  double size = 13;
  const char* anchor = "start";  // or "middle", "end"
  std::string fill = colour::kText;
  bool bold = false;
  double rotate = 0;  // degrees around its own position
  bool halo = false;  // a white rim, for text over lines
};

struct StrokeStyle {
  std::string colour = colour::kAxis;
  double width = 1;
  double opacity = 1;
};

enum class Marker { disc, square };

class Svg {
 public:
  // `title` is what screen readers and browser tabs show.
  Svg(double width, double height, std::string_view title);

  // `tooltip` appears when the mouse rests on the shape; empty: none.
  void rect(double x, double y, double width, double height, std::string_view fill,
            std::string_view tooltip = {});
  void line(double x1, double y1, double x2, double y2, const StrokeStyle& stroke);
  void path(const std::vector<std::pair<double, double>>& points, const StrokeStyle& stroke);
  void marker(double x, double y, Marker kind, double size, std::string_view fill);
  void ring(double x, double y, double radius, const StrokeStyle& stroke);
  void text(double x, double y, std::string_view text, const TextStyle& style = {},
            std::string_view tooltip = {});

  // The whole document. Nothing else may be called after it.
  std::string finish();

 private:
  std::string out_;
};

// Text for XML content and attributes: markup escaped; control characters, bytes that are not UTF-8
// and bidi marks made visible as ft::escape() does.
std::string xml_escape(std::string_view text);

// `text` made visible as above and cut to at most `most` columns, the last one an ellipsis. East
// Asian wide characters count as two columns, combining ones as none.
std::string shorten(std::string_view text, int most);

// Columns of `text` by the same rule.
int columns(std::string_view text);

}  // namespace ft
