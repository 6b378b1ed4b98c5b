// Weights of classes by name or by count.
#include "apps/ftrun/class_weights.h"

#include <algorithm>

#include "apps/ftrun/flag_values.h"
#include "models/patterns.h"

namespace ft::app {
namespace {

// NAME=W,NAME=W,…; names may hold '=' and no comma. False if it is not that.
bool parse_list(const std::string& text, std::vector<std::pair<std::string, double>>& out) {
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const size_t equals = item.rfind('=');
    double weight = 0;
    if (equals == std::string::npos || equals == 0 ||
        !parse_number(item.substr(equals + 1), weight) || !(weight >= 0 && weight <= 1e6))
      return false;
    out.emplace_back(item.substr(0, equals), weight);
    begin = end + 1;
  }
  return true;
}

}  // namespace

std::string check_class_weights(const std::string& text) {
  std::vector<std::pair<std::string, double>> list;
  if (text == "none" || text == "balanced" || parse_list(text, list)) return {};
  return "\"" + text + "\" is not none, balanced, or CLASS=WEIGHT,… with weights from 0 to 1000000";
}

std::vector<double> class_weights(const std::string& text, std::span<const std::string> classes,
                                  std::span<const int64_t> counts) {
  if (text == "none") return {};
  std::vector<double> weights(classes.size(), 1);
  if (text == "balanced") {
    int64_t images = 0;
    for (const int64_t n : counts) images += n;
    for (size_t c = 0; c < weights.size(); ++c)
      weights[c] = static_cast<double>(images) /
                   static_cast<double>(std::max<int64_t>(counts[c], 1)) /
                   static_cast<double>(weights.size());
    return weights;
  }
  std::vector<std::pair<std::string, double>> list;
  parse_list(text, list);
  for (const auto& [name, weight] : list) {
    const auto at = std::ranges::find(classes, name);
    const std::string near = nearest_name(name, {classes.begin(), classes.end()});
    if (at == classes.end())
      throw Error(
          2028, "--class-weights", "the dataset has no class \"" + name + "\"",
          near.empty() ? "use the names of the class folders" : "did you mean " + near + "?");
    weights[static_cast<size_t>(at - classes.begin())] = weight;
  }
  if (std::ranges::all_of(weights, [](double w) { return w == 0; }))
    throw Error(2028, "--class-weights", "no class counts", "give one a weight above 0");
  return weights;
}

}  // namespace ft::app
