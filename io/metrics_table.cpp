// The confusion matrix as text.
#include <algorithm>

#include <fmt/format.h>

#include "io/metrics.h"
#include "io/names.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kNameWidth = 24;  // of the first column at most
constexpr size_t kCellWidth = 12;  // of a column of counts at most
constexpr size_t kMistakes = 20;
constexpr const char* kCorner = "predicted \\ true";

size_t widest(std::span<const std::string> classes, size_t least, size_t most) {
  size_t width = least;
  for (const std::string& name : classes) width = std::max(width, display_width(escape(name)));
  return std::min(width, most);
}

std::string recall_text(const ConfusionMatrix& m, int c) {
  return percent(m.recall(c), "no samples");
}

std::string matrix_text(const ConfusionMatrix& m, std::span<const std::string> classes) {
  const size_t first = widest(classes, std::string_view(kCorner).size(), kNameWidth);
  const size_t cell = widest(classes, std::string_view("no samples").size(), kCellWidth);
  std::string out = fit_left(kCorner, first);
  for (const std::string& name : classes) out += "  " + fit_right(name, cell);
  out += "  " + fit_right("precision", cell) + "\n";
  for (int p = 0; p < m.classes(); ++p) {
    out += fit_left(classes[static_cast<size_t>(p)], first);
    for (int t = 0; t < m.classes(); ++t)
      out += "  " + fit_right(fmt::format("{}", m.count(p, t)), cell);
    out += "  " + fit_right(percent(m.precision(p)), cell) + "\n";
  }
  out += fit_left("recall", first);
  for (int t = 0; t < m.classes(); ++t) out += "  " + fit_right(recall_text(m, t), cell);
  return out + "\n";
}

std::string rates_text(const ConfusionMatrix& m, std::span<const std::string> classes) {
  const size_t first = widest(classes, 5, kNameWidth);
  std::string out = fit_left("class", first) + "   samples      recall   precision\n";
  for (int c = 0; c < m.classes(); ++c)
    out +=
        fmt::format("{}  {:>8}  {:>10}  {:>10}\n", fit_left(classes[static_cast<size_t>(c)], first),
                    m.samples(c), recall_text(m, c), percent(m.precision(c)));
  return out;
}

std::string mistakes_text(const ConfusionMatrix& m, std::span<const std::string> classes) {
  struct Mistake {
    int64_t count;
    int predicted, truth;
  };
  std::vector<Mistake> mistakes;
  for (int p = 0; p < m.classes(); ++p)
    for (int t = 0; t < m.classes(); ++t)
      if (p != t && m.count(p, t) > 0) mistakes.push_back({m.count(p, t), p, t});
  std::stable_sort(mistakes.begin(), mistakes.end(),
                   [](const Mistake& a, const Mistake& b) { return a.count > b.count; });
  if (mistakes.empty()) return "";
  std::string out = "most frequent mistakes:\n";
  for (size_t i = 0; i < std::min(kMistakes, mistakes.size()); ++i)
    out += fmt::format("{:>8} x {} taken for {}\n", mistakes[i].count,
                       escape(classes[static_cast<size_t>(mistakes[i].truth)]),
                       escape(classes[static_cast<size_t>(mistakes[i].predicted)]));
  return out;
}

std::string summary_text(const ConfusionMatrix& m, std::span<const std::string> classes) {
  const auto interval = wilson_interval(m.correct(), m.total());
  if (!interval) return "accuracy: no samples\n";
  std::string out =
      fmt::format("accuracy {} ({} of {}, 95 % interval {:.1f} to {:.1f} %), balanced {}\n",
                  percent(m.accuracy()), m.correct(), m.total(), 100 * interval->low,
                  100 * interval->high, percent(m.balanced_accuracy()));
  std::vector<std::string> absent;
  for (int c = 0; c < m.classes(); ++c)
    if (m.samples(c) == 0) absent.push_back(escape(classes[static_cast<size_t>(c)]));
  if (!absent.empty())
    out += fmt::format("no samples, left out of balanced accuracy: {}\n", list_names(absent));
  return out;
}

}  // namespace

std::string confusion_table(const ConfusionMatrix& matrix, std::span<const std::string> classes,
                            int max_matrix) {
  FT_CHECK(classes.size() == static_cast<size_t>(matrix.classes()), "a name for every class");
  const bool whole = matrix.classes() <= max_matrix;
  return (whole ? matrix_text(matrix, classes)
                : rates_text(matrix, classes) + mistakes_text(matrix, classes)) +
         summary_text(matrix, classes);
}

}  // namespace ft
