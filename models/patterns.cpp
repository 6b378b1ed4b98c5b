// Globs, ranges and near misses.
#include "models/patterns.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ft {
namespace {

bool glob_at(const char* g, const char* n) {
  for (; *g != '\0'; ++g, ++n) {
    if (*g == '*') {
      while (g[1] == '*') ++g;
      for (;; ++n) {
        if (glob_at(g + 1, n)) return true;
        if (*n == '\0') return false;
      }
    }
    if (*n == '\0' || (*g != '?' && *g != *n)) return false;
  }
  return *n == '\0';
}

size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
      diagonal = above;
    }
  }
  return row[b.size()];
}

// First and last node that matches, or {-1, -1}.
std::pair<int, int> node_range(const Graph& graph, const std::string& glob) {
  std::pair<int, int> range{-1, -1};
  for (int i = 0; i < static_cast<int>(graph.nodes().size()); ++i) {
    if (!glob_match(glob, graph.nodes()[static_cast<size_t>(i)].name)) continue;
    if (range.first == -1) range.first = i;
    range.second = i;
  }
  return range;
}

void add_node(const Node& node, std::set<int>& out) {
  for (int p = 0; p < node.parameter_count; ++p) out.insert(node.first_parameter + p);
}

[[noreturn]] void no_match(const Graph& graph, const std::string& part, const std::string& flag) {
  std::vector<std::string> names;
  for (const Node& node : graph.nodes())
    if (node.parameter_count > 0) names.push_back(node.name);
  for (const Parameter& p : graph.parameters()) names.push_back(p.name);
  const std::string near = nearest_name(part, names);
  throw Error(
      2022, flag, fmt::format("\"{}\" matches no parameter of the model", part),
      (near.empty() ? std::string{} : "did you mean \"" + near + "\"? ") +
          "ftrun summary --model NAME lists the nodes; parameters are NODE.weight and NODE.bias");
}

void match_part(const Graph& graph, const std::string& part, const std::string& flag,
                std::set<int>& out) {
  const size_t before = out.size();
  bool known = false;
  if (const size_t dots = part.find(".."); dots != std::string::npos) {
    const auto first = node_range(graph, part.substr(0, dots));
    const auto last = node_range(graph, part.substr(dots + 2));
    if (first.first == -1 || last.first == -1) no_match(graph, part, flag);
    if (first.first > last.second)
      throw Error(2023, flag, fmt::format("the range \"{}\" runs backwards", part),
                  "name the earlier layer first");
    for (int i = first.first; i <= last.second; ++i)
      add_node(graph.nodes()[static_cast<size_t>(i)], out);
    known = true;
  } else {
    for (size_t p = 0; p < graph.parameters().size(); ++p)
      if (glob_match(part, graph.parameters()[p].name)) {
        out.insert(static_cast<int>(p));
        known = true;
      }
    for (const Node& node : graph.nodes())
      if (node.parameter_count > 0 && glob_match(part, node.name)) {
        add_node(node, out);
        known = true;
      }
  }
  if (!known || (out.size() == before && out.empty())) no_match(graph, part, flag);
}

}  // namespace

bool glob_match(const std::string& glob, const std::string& name) {
  return glob_at(glob.c_str(), name.c_str());
}

std::vector<int> match_parameters(const Graph& graph, const std::string& pattern,
                                  const std::string& flag) {
  std::set<int> out;
  for (size_t begin = 0; begin <= pattern.size();) {
    const size_t end = std::min(pattern.find(',', begin), pattern.size());
    match_part(graph, pattern.substr(begin, end - begin), flag, out);
    begin = end + 1;
  }
  return {out.begin(), out.end()};
}

std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = 4;
  for (const std::string& candidate : candidates) {
    const size_t d = edit_distance(name, candidate);
    if (d < best_distance && 2 * d < std::max(candidate.size(), size_t{2})) {
      best = candidate;
      best_distance = d;
    }
  }
  return best;
}

}  // namespace ft
