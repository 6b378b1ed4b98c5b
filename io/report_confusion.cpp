// The confusion matrix as SVG.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "io/report.h"
#include "io/svg.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kMostShown = 50;
constexpr int kLabelColumns = 20;              // of a class name
constexpr double kGlyph = 0.56;                // mean width of a character, in font sizes
constexpr const char* kNone = "\xe2\x80\x93";  // en dash: undefined
constexpr const char* kPale = "#F6F6F6";
constexpr double kRoomForRates = 42;  // a cell of this size shows two lines

// The counts that are drawn, and sums over all classes, also over those that are not.
struct Matrix {
  std::vector<std::string> names;
  std::vector<int64_t> counts;             // of the shown classes, [predicted * n + true]
  std::vector<int64_t> predicted, actual;  // samples of each shown class over all others
  int64_t total = 0, correct = 0;
  size_t classes = 0;  // of which names are shown
  size_t n() const { return names.size(); }
  int64_t at(size_t p, size_t t) const { return counts[p * n() + t]; }
};

// Indices of the classes with the most errors, in class order.
std::vector<size_t> worst_classes(std::span<const int64_t> counts, size_t n) {
  std::vector<int64_t> errors(n, 0);
  for (size_t p = 0; p < n; ++p)
    for (size_t t = 0; t < n; ++t)
      if (p != t) {
        errors[p] += counts[p * n + t];
        errors[t] += counts[p * n + t];
      }
  std::vector<size_t> order(n);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return errors[a] > errors[b]; });
  order.resize(std::min(n, kMostShown));
  std::ranges::sort(order);
  return order;
}

Matrix select(const std::vector<std::string>& classes, std::span<const int64_t> counts) {
  const size_t n = classes.size();
  Matrix m;
  m.classes = n;
  const std::vector<size_t> shown = worst_classes(counts, n);
  for (size_t p = 0; p < n; ++p) m.correct += counts[p * n + p];
  m.total = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  for (const size_t p : shown) {
    m.names.push_back(classes[p]);
    int64_t row = 0, column = 0;
    for (size_t t = 0; t < n; ++t) {
      row += counts[p * n + t];
      column += counts[t * n + p];
    }
    m.predicted.push_back(row);
    m.actual.push_back(column);
    for (const size_t t : shown) m.counts.push_back(counts[p * n + t]);
  }
  return m;
}

// "97.3 %", "100 %", or an en dash when there is nothing to take a share of.
std::string rate(int64_t part, int64_t whole, int decimals) {
  if (whole == 0) return kNone;
  if (part == 0 || part == whole) return part == 0 ? "0 %" : "100 %";
  // Rounding must not turn an error into perfection, nor a hit into none.
  const double smallest = decimals == 0 ? 1 : 0.1;
  const double percent = 100.0 * static_cast<double>(part) / static_cast<double>(whole);
  if (percent < smallest / 2) return fmt::format("<{} %", smallest);
  if (percent >= 100 - smallest / 2) return fmt::format(">{} %", 100 - smallest);
  return fmt::format("{:.{}f} %", percent, decimals);
}

// 12345 as 12,345 where it fits, else as 12k.
std::string short_count(int64_t count, size_t most) {
  std::string text = std::to_string(count);
  if (text.size() <= most) {
    for (size_t i = text.size(); most > 6 && i > 3; i -= 3) text.insert(i - 3, 1, ',');
    return text;
  }
  const double value = static_cast<double>(count);
  return value < 1e6 ? fmt::format("{:.0f}k", value / 1e3) : fmt::format("{:.0f}M", value / 1e6);
}

// Share 0..1 from white to full colour: blue for right, vermilion for wrong.
std::string shade(double share, bool right) {
  const double full[2][3] = {{213, 94, 0}, {0, 114, 178}};
  // Few errors matter too: the wrong ones darken faster.
  const double strength = right ? share : std::sqrt(share);
  int rgb[3];
  for (int c = 0; c < 3; ++c)
    rgb[c] = static_cast<int>(std::lround(255 + (full[right ? 1 : 0][c] - 255) * strength));
  return fmt::format("#{:02X}{:02X}{:02X}", rgb[0], rgb[1], rgb[2]);
}

// Sizes of everything, from the number and the length of the names.
struct Layout {
  double cell, label_size, left, top, margin, width, height;
  bool slanted;  // names of the columns
  bool rates;    // in the cells

  explicit Layout(const Matrix& m) {
    const auto n = static_cast<double>(m.n());
    cell = std::clamp(880 / n, 24.0, 104.0);
    rates = cell >= kRoomForRates;
    label_size = std::clamp(cell * 0.42, 10.5, 14.0);
    int longest = 4;
    for (const std::string& name : m.names)
      longest = std::max(longest, std::min(columns(name), kLabelColumns));
    const double label = longest * kGlyph * label_size + 12;
    slanted = label > cell;
    margin = std::max(cell, 58.0);
    left = std::max(label + 40, 100.0);
    top = 92 + (slanted ? label * 0.72 + 6 : label_size + 10);
    const double overhang =
        slanted ? std::max(0.0, std::max(label - cell, 50.0) * 0.7 - margin / 2) : 0;
    width = std::max(left + n * cell + 10 + margin + overhang + 24, 520.0);
    height = top + n * cell + 10 + std::max(cell * 0.7, 30.0) + 64;
  }
  double x(size_t t) const { return left + static_cast<double>(t) * cell; }
  double y(size_t p) const { return top + static_cast<double>(p) * cell; }
};

// Nothing there: a pale zero, or a dash where there is no sample of the class to begin with. With
// many classes emptiness is easier to see than many zeros.
void draw_empty_cell(Svg& svg, const Matrix& m, const Layout& at, size_t p, size_t t) {
  if (!at.rates) return;
  const double size = std::min(15.0, at.cell * 0.25);
  svg.text(at.x(t) + at.cell / 2, at.y(p) + at.cell / 2 + size * 0.36,
           m.actual[t] == 0 ? kNone : "0", {size, "middle", colour::kAxis});
}

void draw_cell(Svg& svg, const Matrix& m, const Layout& at, size_t p, size_t t) {
  const int64_t count = m.at(p, t);
  const double share =
      m.actual[t] == 0 ? 0 : static_cast<double>(count) / static_cast<double>(m.actual[t]);
  const std::string tooltip =
      fmt::format("true {}, predicted {}: {} of {} ({})", m.names[t], m.names[p], count,
                  m.actual[t], rate(count, m.actual[t], 1));
  svg.rect(at.x(t) + 0.5, at.y(p) + 0.5, at.cell - 1, at.cell - 1,
           count == 0 ? kPale : shade(share, p == t), tooltip);
  if (count == 0) {
    draw_empty_cell(svg, m, at, p, t);
    return;
  }
  const bool dark = (p == t ? share : std::sqrt(share)) > 0.55;
  const char* fill = dark ? colour::kWhite : colour::kText;
  const auto room = static_cast<size_t>(at.cell / (kGlyph * 9));
  const std::string text = short_count(count, std::max<size_t>(room, 3));
  const double size = std::clamp((at.cell - 4) / (kGlyph * static_cast<double>(text.size())), 7.0,
                                 at.rates ? std::min(17.0, at.cell * 0.27) : at.cell * 0.42);
  const double middle = at.x(t) + at.cell / 2, y = at.y(p) + at.cell / 2;
  svg.text(middle, at.rates ? y - 1 : y + size * 0.36, text, {size, "middle", fill, p == t});
  if (at.rates)
    svg.text(middle, y + std::max(11.0, size * 1.05),
             rate(count, m.actual[t], at.cell < 60 ? 0 : 1),
             {std::clamp(at.cell * 0.2, 9.0, 13.0), "middle", fill});
}

void draw_names(Svg& svg, const Matrix& m, const Layout& at) {
  for (size_t i = 0; i < m.n(); ++i) {
    const std::string name = shorten(m.names[i], kLabelColumns);
    svg.text(at.left - 8, at.y(i) + at.cell / 2 + at.label_size * 0.36, name,
             {at.label_size, "end"}, m.names[i]);
    const double x = at.x(i) + at.cell / 2;
    if (at.slanted)
      svg.text(x + at.label_size * 0.3, at.top - 7, name,
               {at.label_size, "start", colour::kText, false, -45}, m.names[i]);
    else
      svg.text(x, at.top - 8, name, {at.label_size, "middle"}, m.names[i]);
  }
  const double middle_y = at.top + static_cast<double>(m.n()) * at.cell / 2;
  svg.text(at.left, 72, "true class \xe2\x86\x92", {14, "start", colour::kFaint});
  svg.text(22, middle_y, "predicted class", {14, "middle", colour::kFaint, false, -90});
}

// Precision beside each row, recall below each column, accuracy in the corner.
void draw_margins(Svg& svg, const Matrix& m, const Layout& at) {
  const double n = static_cast<double>(m.n());
  const double right = at.left + n * at.cell + 10, below = at.top + n * at.cell + 10;
  const double low = std::max(at.cell * 0.7, 30.0);
  const double size = std::clamp(at.cell * 0.2, 9.0, 13.0);
  const int digits = at.cell < 48 ? 0 : 1;
  const char* ground = "#EFEFEF";
  for (size_t i = 0; i < m.n(); ++i) {
    const int64_t hits = m.at(i, i);
    svg.rect(right, at.y(i) + 0.5, at.margin, at.cell - 1, ground,
             fmt::format("precision of {}: {} of {} predicted", m.names[i], hits, m.predicted[i]));
    svg.text(right + at.margin / 2, at.y(i) + at.cell / 2 + 4, rate(hits, m.predicted[i], 1),
             {std::max(size, 10.0), "middle"});
    svg.rect(at.x(i) + 0.5, below, at.cell - 1, low, ground,
             fmt::format("recall of {}: {} of {} true", m.names[i], hits, m.actual[i]));
    const std::string recall = rate(hits, m.actual[i], digits);
    if (at.cell < 36)
      svg.text(at.x(i) + at.cell / 2 + 3.5, below + low / 2, recall,
               {9, "middle", colour::kText, false, -90});
    else
      svg.text(at.x(i) + at.cell / 2, below + low / 2 + 4, recall, {size, "middle"});
  }
  svg.rect(right, below, at.margin, low, "#DDDDDD", "accuracy over all classes");
  svg.text(right + at.margin / 2, below + low / 2 + 4, rate(m.correct, m.total, 1),
           {std::max(size, 10.0), "middle", colour::kText, true});
  if (at.slanted)
    svg.text(right + at.margin / 2, at.top - 7, "precision",
             {12, "start", colour::kFaint, false, -45});
  else
    svg.text(right + at.margin / 2, at.top - 8, "precision", {12, "middle", colour::kFaint});
  svg.text(at.left - 8, below + low / 2 + 4, "recall", {12, "end", colour::kFaint});
}

std::string note(const Matrix& m, const Layout& at) {
  std::string text = at.rates ? "Cells: samples, and their share of the true class."
                              : "Cells: samples; colour: their share of the true class.";
  const bool undefined = std::ranges::count(m.predicted, 0) + std::ranges::count(m.actual, 0) > 0;
  if (undefined) text += fmt::format(" {} : no samples, undefined.", kNone);
  return text;
}

}  // namespace

std::string confusion_svg(const std::vector<std::string>& classes,
                          std::span<const int64_t> counts) {
  FT_CHECK(!classes.empty() && counts.size() == classes.size() * classes.size(),
           "a confusion matrix needs a count for every pair of classes");
  FT_CHECK(std::ranges::min(counts) >= 0, "a count is negative");
  const Matrix m = select(classes, counts);
  const Layout at(m);
  Svg svg(at.width, at.height, "Confusion matrix");
  const double accuracy =
      m.total == 0 ? 0 : 100.0 * static_cast<double>(m.correct) / static_cast<double>(m.total);
  std::string title = m.total == 0
                          ? "No samples"
                          : fmt::format("{} of {} correct: {:.2f} %", short_count(m.correct, 15),
                                        short_count(m.total, 15), accuracy);
  svg.text(22, 30, title, {17, "start", colour::kText, true});
  if (m.n() < m.classes)
    svg.text(22, 50, fmt::format("the {} classes with the most errors, of {}", m.n(), m.classes),
             {13, "start", colour::kFaint});
  draw_names(svg, m, at);
  for (size_t p = 0; p < m.n(); ++p)
    for (size_t t = 0; t < m.n(); ++t) draw_cell(svg, m, at, p, t);
  draw_margins(svg, m, at);
  svg.text(22, at.height - 18, note(m, at), {12, "start", colour::kFaint});
  return svg.finish();
}

}  // namespace ft
