// Learning curves as SVG.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "io/report.h"
#include "io/svg.h"
#include "io/ticks.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr double kWidth = 1040, kHeight = 444;
constexpr double kTop = 106, kBottom = 62, kLeft = 66, kGap = 84, kRight = 24;
constexpr double kPanelWidth = (kWidth - kLeft - kGap - kRight) / 2;
constexpr double kPanelHeight = kHeight - kTop - kBottom;
constexpr size_t kFewPoints = 60;    // drawn with markers
constexpr size_t kManyPoints = 300;  // drawn faintly, below their moving mean
constexpr size_t kWindows = 60;      // a moving mean spans 1/60 of the curve

struct Style {
  const char* name;
  const char* colour;
  Marker marker;
};
constexpr Style kTraining = {"training", colour::kBlue, Marker::disc};
constexpr Style kValidation = {"validation", colour::kVermilion, Marker::square};

using Points = std::vector<std::pair<double, double>>;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  bool empty() const { return low > high; }
  void add(double v) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
};

bool is_point(const Curve& c, size_t i) { return std::isfinite(c.x[i]) && std::isfinite(c.y[i]); }

// One panel: where values go on the page.
struct Panel {
  double left;
  Ticks x, y;
  double px(double v) const { return left + (v - x.low) / (x.high - x.low) * kPanelWidth; }
  double py(double v) const {
    return kTop + kPanelHeight - (v - y.low) / (y.high - y.low) * kPanelHeight;
  }
};

size_t half_window(const Curve& c) { return c.y.size() / kWindows / 2; }

// Mean over a centred window of points; gaps count for nothing and stay gaps.
Curve moving_mean(const Curve& c) {
  const size_t half = half_window(c);
  Curve mean{c.x, std::vector<double>(c.y.size())};
  std::vector<double> sum(1, 0.0), count(1, 0.0);
  for (size_t i = 0; i < c.y.size(); ++i) {
    const bool point = is_point(c, i);
    sum.push_back(sum.back() + (point ? c.y[i] : 0));
    count.push_back(count.back() + (point ? 1 : 0));
  }
  for (size_t i = 0; i < c.y.size(); ++i) {
    const size_t a = i < half ? 0 : i - half, b = std::min(c.y.size(), i + half + 1);
    mean.y[i] = is_point(c, i) ? (sum[b] - sum[a]) / (count[b] - count[a])
                               : std::numeric_limits<double>::quiet_NaN();
  }
  return mean;
}

// The curve on the page, cut at gaps. Of the points that share a pixel column only the first, the
// lowest, the highest and the last are kept, so a long run makes a small file that looks the same.
std::vector<Points> strokes(const Curve& c, const Panel& panel) {
  std::vector<Points> all(1);
  for (size_t i = 0; i < c.x.size();) {
    if (!is_point(c, i)) {
      if (!all.back().empty()) all.emplace_back();
      ++i;
      continue;
    }
    const double column = std::floor(panel.px(c.x[i]));
    size_t end = i, low = i, high = i;
    for (; end < c.x.size() && is_point(c, end) && std::floor(panel.px(c.x[end])) == column;
         ++end) {
      if (c.y[end] < c.y[low]) low = end;
      if (c.y[end] > c.y[high]) high = end;
    }
    std::vector<size_t> kept = {i, low, high, end - 1};
    std::ranges::sort(kept);
    kept.erase(std::unique(kept.begin(), kept.end()), kept.end());
    for (const size_t k : kept) all.back().emplace_back(panel.px(c.x[k]), panel.py(c.y[k]));
    i = end;
  }
  return all;
}

void draw_lines(Svg& svg, const Curve& c, const Panel& panel, const StrokeStyle& stroke) {
  for (const Points& points : strokes(c, panel)) svg.path(points, stroke);
}

void draw_curve(Svg& svg, const Curve& c, const Panel& panel, const Style& style) {
  const bool many = c.x.size() > kManyPoints;
  if (many) draw_lines(svg, c, panel, {style.colour, 1, 0.2});
  draw_lines(svg, many ? moving_mean(c) : c, panel, {style.colour, 2, 1});
  const bool few = c.x.size() <= kFewPoints;
  for (size_t i = 0; i < c.x.size(); ++i) {
    // A lone point between gaps would be invisible without its marker.
    const bool lone = is_point(c, i) && (i == 0 || !is_point(c, i - 1)) &&
                      (i + 1 == c.x.size() || !is_point(c, i + 1));
    if (is_point(c, i) && (few || lone))
      svg.marker(panel.px(c.x[i]), panel.py(c.y[i]), style.marker, 6, style.colour);
  }
}

void draw_axes(Svg& svg, const Panel& panel, const std::string& x_label, bool percent) {
  const double bottom = kTop + kPanelHeight, right = panel.left + kPanelWidth;
  for (const double v : panel.y.values()) {
    svg.line(panel.left, panel.py(v), right, panel.py(v), {colour::kGrid, 1, 1});
    const std::string label = percent ? panel.y.label(v, 100) + " %" : panel.y.label(v);
    svg.text(panel.left - 9, panel.py(v) + 4.5, label, {13, "end", colour::kFaint});
  }
  for (const double v : panel.x.values()) {
    svg.line(panel.px(v), bottom, panel.px(v), bottom + 5, {});
    svg.text(panel.px(v), bottom + 21, panel.x.label(v), {13, "middle", colour::kFaint});
  }
  svg.line(panel.left, bottom, right, bottom, {});
  svg.text((panel.left + right) / 2, bottom + 46, x_label, {14, "middle"});
}

double last_value(const Curve& c) {
  for (size_t i = c.y.size(); i-- > 0;)
    if (is_point(c, i)) return c.y[i];
  return std::numeric_limits<double>::quiet_NaN();
}

// Two entries above the panel: symbol, name, last value (of what is drawn strongly).
void draw_legend(Svg& svg, double left, const std::vector<std::pair<const Curve*, Style>>& curves,
                 bool percent) {
  double x = left;
  const double y = kTop - 18;
  for (const auto& [curve, style] : curves) {
    const bool many = curve->x.size() > kManyPoints;
    const double last = last_value(many ? moving_mean(*curve) : *curve);
    if (std::isnan(last)) continue;
    svg.line(x, y - 4.5, x + 22, y - 4.5, {style.colour, 2, 1});
    svg.marker(x + 11, y - 4.5, style.marker, 7, style.colour);
    const std::string value =
        percent ? fmt::format("{:.2f} %", last * 100) : fmt::format("{:.4g}", last);
    const std::string mean =
        many ? fmt::format(" (mean of {})", 2 * half_window(*curve) + 1) : std::string();
    const std::string label = fmt::format("{}{} {}", style.name, mean, value);
    svg.text(x + 29, y, label);
    x += 29 + 7.0 * columns(label) + 18;
  }
}

Range range_of(const Curve& a, const Curve& b, const std::vector<double> Curve::* values) {
  Range range;
  for (const Curve* c : {&a, &b})
    for (size_t i = 0; i < c->x.size(); ++i)
      if (is_point(*c, i)) range.add((c->*values)[i]);
  return range;
}

Ticks x_ticks(const Curve& a, const Curve& b) {
  Range range = range_of(a, b, &Curve::x);
  bool whole = true;
  for (const Curve* c : {&a, &b})
    for (const double v : c->x) whole = whole && v == std::floor(v);
  if (range.empty()) range = {0, 1};
  if (range.low == range.high) range = {range.low - 1, range.high + 1};
  // From the first to the last point exactly; the ticks lie between.
  Ticks ticks = nice_ticks(range.low, range.high, 8, whole ? 1 : 0);
  ticks.low = range.low;
  ticks.high = range.high;
  return ticks;
}

Ticks loss_ticks(const Curve& a, const Curve& b) {
  Range range = range_of(a, b, &Curve::y);
  if (range.empty()) range = {0, 1};
  if (range.low >= 0 && range.low < 0.4 * range.high) range.low = 0;
  return nice_ticks(range.low, range.high, 6, 0);
}

Ticks accuracy_ticks(const Curve& a, const Curve& b) {
  Range range = range_of(a, b, &Curve::y);
  if (range.empty()) range = {0, 1};
  if (range.high - range.low < 0.02) range = {range.low - 0.01, range.high + 0.01};
  Ticks ticks = nice_ticks(std::max(0.0, range.low), std::min(1.0, range.high), 6, 0.005);
  ticks.low = std::max(0.0, ticks.low);
  ticks.high = std::min(1.0, ticks.high);
  return ticks;
}

// The best validation as a run chooses it: the highest accuracy, of equal ones that of the lower loss, the first of
// those; none where the loss is not finite. losses may be empty.
size_t best_of(const Curve& accuracy, const Curve& losses) {
  const size_t none = accuracy.x.size();
  const auto loss = [&](size_t i) { return i < losses.y.size() ? losses.y[i] : 0; };
  size_t best = none;
  for (size_t i = 0; i < none; ++i) {
    if (!is_point(accuracy, i) || !std::isfinite(loss(i))) continue;
    if (best == none || accuracy.y[i] > accuracy.y[best] ||
        (accuracy.y[i] == accuracy.y[best] && loss(i) < loss(best)))
      best = i;
  }
  return best;
}

void draw_best(Svg& svg, const Curve& c, const Curve& losses, const Panel& panel) {
  const size_t best = best_of(c, losses);
  if (best == c.x.size()) return;
  const double x = panel.px(c.x[best]), y = panel.py(c.y[best]);
  svg.ring(x, y, 7, {colour::kText, 1.5, 1});
  // Below the point, and on the side that has room.
  const bool left = x > panel.left + kPanelWidth / 2;
  const double text_y = y + 24 < kTop + kPanelHeight - 6 ? y + 24 : y - 14;
  svg.text(x + (left ? 4 : -4), text_y, fmt::format("best {:.2f} %", c.y[best] * 100),
           {13, left ? "end" : "start", colour::kText, true, 0, true});
}

void draw_panel(Svg& svg, double left, const Curve& training, const Curve& validation,
                const std::string& x_label, const Curve* val_loss) {
  const bool accuracy = val_loss != nullptr;
  const Panel panel{
      left, x_ticks(training, validation),
      accuracy ? accuracy_ticks(training, validation) : loss_ticks(training, validation)};
  svg.text(left, kTop - 42, accuracy ? "Accuracy" : "Loss", {15, "start", colour::kText, true});
  draw_axes(svg, panel, x_label, accuracy);
  draw_legend(svg, left, {{&training, kTraining}, {&validation, kValidation}}, accuracy);
  draw_curve(svg, training, panel, kTraining);
  draw_curve(svg, validation, panel, kValidation);
  if (accuracy) draw_best(svg, validation, *val_loss, panel);
  if (std::isnan(last_value(training)) && std::isnan(last_value(validation)))
    svg.text(left + kPanelWidth / 2, kTop + kPanelHeight / 2, "no values",
             {14, "middle", colour::kFaint});
}

}  // namespace

std::string curves_svg(const TrainingCurves& c) {
  for (const Curve* curve : {&c.train_loss, &c.val_loss, &c.train_accuracy, &c.val_accuracy})
    FT_CHECK(curve->x.size() == curve->y.size(), "a curve has unequal numbers of x and y");
  Svg svg(kWidth, kHeight, c.title);
  svg.text(kLeft, 28, shorten(c.title, 100), {17, "start", colour::kText, true}, c.title);
  draw_panel(svg, kLeft, c.train_loss, c.val_loss, c.x_label, nullptr);
  draw_panel(svg, kLeft + kPanelWidth + kGap, c.train_accuracy, c.val_accuracy, c.x_label,
             &c.val_loss);
  return svg.finish();
}

}  // namespace ft
