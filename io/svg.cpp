// Writing SVG.
#include "io/svg.h"

#include <fmt/format.h>

#include <cstdint>

#include "tensor/error.h"

namespace ft {
namespace {

constexpr const char* kFonts =
    "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif";

// At most two decimals, without trailing zeros, whatever the locale.
std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string title_element(std::string_view tooltip) {
  return tooltip.empty() ? "" : fmt::format("<title>{}</title>", xml_escape(tooltip));
}

// The code point that starts at text[i], which is valid UTF-8, and its length.
std::pair<uint32_t, size_t> code_point(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t b = byte(i);
  const size_t n = b < 0x80 ? 1 : b < 0xE0 ? 2 : b < 0xF0 ? 3 : 4;
  uint32_t c = n == 1 ? b : b & (0xFFu >> (n + 1));
  for (size_t k = 1; k < n; ++k) c = c << 6 | (byte(i + k) & 0x3F);
  return {c, n};
}

int width_of(uint32_t c) {
  const auto in = [c](uint32_t from, uint32_t to) { return c >= from && c <= to; };
  if (in(0x300, 0x36F) || in(0x1AB0, 0x1AFF) || in(0x20D0, 0x20FF) || in(0xFE00, 0xFE0F)) return 0;
  if (in(0x1100, 0x115F) || in(0x2E80, 0xA4CF) || in(0xAC00, 0xD7A3) || in(0xF900, 0xFAFF) ||
      in(0xFE30, 0xFE6F) || in(0xFF00, 0xFF60) || in(0x1F300, 0x1FAFF) || in(0x20000, 0x3FFFD))
    return 2;
  return 1;
}

}  // namespace

std::string xml_escape(std::string_view text) {
  const std::string visible = escape(text);
  std::string out;
  out.reserve(visible.size());
  for (size_t i = 0; i < visible.size();) {
    const auto [c, n] = code_point(visible, i);
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case 0xFFFE:
      case 0xFFFF:
        out += fmt::format("\\u{{{:04x}}}", c);
        break;  // not allowed in XML
      default:
        out.append(visible, i, n);
    }
    i += n;
  }
  return out;
}

int columns(std::string_view text) {
  const std::string visible = escape(text);
  int total = 0;
  for (size_t i = 0; i < visible.size();) {
    const auto [c, n] = code_point(visible, i);
    total += width_of(c);
    i += n;
  }
  return total;
}

std::string shorten(std::string_view text, int most) {
  std::string visible = escape(text);
  if (columns(text) <= most) return visible;
  int used = 0;
  size_t i = 0;
  while (i < visible.size()) {
    const auto [c, n] = code_point(visible, i);
    if (used + width_of(c) > most - 1) break;
    used += width_of(c);
    i += n;
  }
  return visible.substr(0, i) + "\xe2\x80\xa6";
}

Svg::Svg(double width, double height, std::string_view title) {
  out_ = fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\" font-family=\"{2}\">\n<title>{3}</title>\n",
      number(width), number(height), kFonts, xml_escape(title));
  rect(0, 0, width, height, colour::kWhite);
}

void Svg::rect(double x, double y, double width, double height, std::string_view fill,
               std::string_view tooltip) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"", number(x),
                      number(y), number(width), number(height), fill);
  out_ += tooltip.empty() ? "/>\n" : fmt::format(">{}</rect>\n", title_element(tooltip));
}

void Svg::line(double x1, double y1, double x2, double y2, const StrokeStyle& stroke) {
  out_ += fmt::format(
      "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
      number(x1), number(y1), number(x2), number(y2), stroke.colour, number(stroke.width));
}

void Svg::path(const std::vector<std::pair<double, double>>& points, const StrokeStyle& stroke) {
  if (points.size() < 2) return;
  out_ += "<polyline fill=\"none\" stroke-linejoin=\"round\" stroke-linecap=\"round\" points=\"";
  for (const auto& [x, y] : points) out_ += fmt::format("{},{} ", number(x), number(y));
  out_.back() = '"';
  out_ += fmt::format(" stroke=\"{}\" stroke-width=\"{}\" stroke-opacity=\"{}\"/>\n", stroke.colour,
                      number(stroke.width), number(stroke.opacity));
}

void Svg::marker(double x, double y, Marker kind, double size, std::string_view fill) {
  if (kind == Marker::square) {
    rect(x - size * 0.45, y - size * 0.45, size * 0.9, size * 0.9, fill);
    return;
  }
  out_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>\n", number(x), number(y),
                      number(size / 2), fill);
}

void Svg::ring(double x, double y, double radius, const StrokeStyle& stroke) {
  out_ += fmt::format(
      "<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
      number(x), number(y), number(radius), stroke.colour, number(stroke.width));
}

void Svg::text(double x, double y, std::string_view text, const TextStyle& style,
               std::string_view tooltip) {
  out_ +=
      fmt::format("<text x=\"{0}\" y=\"{1}\" font-size=\"{2}\" text-anchor=\"{3}\" fill=\"{4}\"",
                  number(x), number(y), number(style.size), style.anchor, style.fill);
  if (style.bold) out_ += " font-weight=\"600\"";
  if (style.halo)
    out_ +=
        " stroke=\"#FFFFFF\" stroke-width=\"3.5\" stroke-linejoin=\"round\" paint-order=\"stroke\"";
  if (style.rotate != 0)
    out_ +=
        fmt::format(" transform=\"rotate({} {} {})\"", number(style.rotate), number(x), number(y));
  out_ += fmt::format(">{}{}</text>\n", xml_escape(text), title_element(tooltip));
}

std::string Svg::finish() { return std::move(out_) + "</svg>\n"; }

}  // namespace ft
