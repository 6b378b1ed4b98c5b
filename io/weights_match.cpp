// Strict matching of a weight file with a model.
#include "io/weights_match.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "tensor/error.h"

namespace ft {
namespace {

using Shape = std::vector<int64_t>;

constexpr size_t kShown = 4;  // names of each list in the one line of an error

std::string first_names(const std::vector<std::string>& names) {
  const auto shown = std::min(names.size(), kShown);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  if (names.size() > shown) text += fmt::format(", and {} more", names.size() - shown);
  return text;
}

std::string braces(const Shape& shape) { return fmt::format("{{{}}}", fmt::join(shape, ",")); }

// The layout that `found` looks like when it holds `expected` in another order; empty if none.
std::string layout_hint(const Shape& expected, const Shape& found) {
  const Shape& e = expected;
  if (found == e) return {};
  if (e.size() == 4 && found == Shape{e[2], e[3], e[1], e[0]})
    return "the file looks like height,width,in,out order (Keras): write it in out,in,height,width "
           "order";
  if (e.size() == 4 && found == Shape{e[0], e[2], e[3], e[1]})
    return "the file looks like out,height,width,in order: write it in out,in,height,width order";
  if (e.size() == 2 && found == Shape{e[1], e[0]})
    return "the file looks transposed (in,out order): write it in out,in order";
  if (found == Shape(e.rbegin(), e.rend()))
    return "the file looks column-major (MATLAB): write it row-major";
  Shape a = expected, b = found;
  std::ranges::sort(a);
  std::ranges::sort(b);
  if (a == b) return "the dimensions are the same in another order: write it in the model's order";
  return {};
}

// "module." if all names of the file that the model does not know begin with such a wrapper.
std::string wrapper_of(const LoadReport& report) {
  if (report.extra.empty() || report.missing.empty()) return {};
  for (const char* wrapper : {"module.", "model.", "state_dict."})
    if (std::ranges::all_of(report.extra, [&](const auto& n) { return n.starts_with(wrapper); }))
      return wrapper;
  return {};
}

std::string hint(const LoadReport& report, const WeightFile& file) {
  for (const ShapeMismatch& m : report.shape_mismatch)
    if (const std::string text = layout_hint(m.expected, m.found); !text.empty()) return text;
  if (const std::string wrapper = wrapper_of(report); !wrapper.empty())
    return fmt::format("the names in the file begin with \"{}\": write it without that", wrapper);
  const auto other_head = [](const ShapeMismatch& m) {
    return m.expected.size() == m.found.size() && m.expected[0] != m.found[0] &&
           std::equal(m.expected.begin() + 1, m.expected.end(), m.found.begin() + 1);
  };
  if (report.missing.empty() && report.extra.empty() && report.shape_mismatch.size() <= 2 &&
      std::ranges::all_of(report.shape_mismatch, other_head))
    return fmt::format(
        "only the number of outputs differs: the file knows {} classes; fine-tune "
        "it to yours, or use the data that it was trained on",
        report.shape_mismatch[0].found[0]);
  return fmt::format("the file says model {} {}: give the --model that it is for",
                     file.model.empty() ? "unknown" : file.model, file.variant);
}

std::string seen(const LoadReport& report) {
  std::vector<std::string> parts;
  if (!report.missing.empty())
    parts.push_back(fmt::format("{} missing in the file ({})", report.missing.size(),
                                first_names(report.missing)));
  if (!report.extra.empty())
    parts.push_back(fmt::format("{} that the model does not have ({})", report.extra.size(),
                                first_names(report.extra)));
  if (!report.shape_mismatch.empty()) {
    std::vector<std::string> shapes;
    for (const ShapeMismatch& m : report.shape_mismatch)
      shapes.push_back(
          fmt::format("{} is {}, the model has {}", m.name, braces(m.found), braces(m.expected)));
    parts.push_back(fmt::format("{} of another shape ({})", shapes.size(), first_names(shapes)));
  }
  return fmt::format("the tensors do not fit the model: {}; {} fit", fmt::join(parts, ", "),
                     report.loaded.size());
}

}  // namespace

LoadReport compare_tensors(const std::vector<ExpectedTensor>& expected, const WeightFile& file,
                           const AllowedNew& allowed_new) {
  const auto allowed = [&](const std::string& name) { return allowed_new && allowed_new(name); };
  std::map<std::string_view, const NamedTensor*> left;  // of the file, not yet used
  for (const NamedTensor& tensor : file.tensors)
    FT_CHECK(left.emplace(tensor.name, &tensor).second, "two tensors are named " + tensor.name);
  LoadReport report;
  for (const ExpectedTensor& want : expected) {
    const auto found = left.find(want.name);
    if (allowed(want.name)) {
      report.fresh.push_back(want.name);
    } else if (found == left.end()) {
      report.missing.push_back(want.name);
    } else {
      if (found->second->shape == want.shape)
        report.loaded.push_back(want.name);
      else
        report.shape_mismatch.push_back({want.name, want.shape, found->second->shape});
      left.erase(found);
    }
  }
  for (const NamedTensor& tensor : file.tensors)
    if (left.contains(tensor.name))
      (allowed(tensor.name) ? report.skipped : report.extra).push_back(tensor.name);
  return report;
}

LoadReport match_tensors(const std::vector<ExpectedTensor>& expected, const WeightFile& file,
                         const AllowedNew& allowed_new) {
  LoadReport report = compare_tensors(expected, file, allowed_new);
  if (report.fits()) return report;
  throw Error(2320, file.path.empty() ? "weights" : file.path, seen(report), hint(report, file));
}

std::string summary(const LoadReport& report) {
  std::string text = fmt::format("{} loaded", report.loaded.size());
  if (!report.fresh.empty())
    text += fmt::format(", {} new ({})", report.fresh.size(), first_names(report.fresh));
  if (!report.skipped.empty())
    text += fmt::format(", {} of the file skipped", report.skipped.size());
  return text;
}

}  // namespace ft
