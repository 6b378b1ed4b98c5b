// Choosing parameters by name: globs, ranges, and the nearest name for a helpful message. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "layers/graph.h"

namespace ft {

// Whether `name` matches `glob` as a whole: * any run of characters, ? any one.
bool glob_match(const std::string& glob, const std::string& name);

// Indices of the parameters that `pattern` names, ascending. A pattern is a comma-separated list of
//   a glob over parameter names or node names ("layer4.*", "conv1", "*.bias"), and
//   a range "a..b" of nodes in graph order, inclusive; its ends are node names or globs ("fc6..fc8").
// Throws Error 2022 naming `flag` if a part matches nothing, with the nearest name.
std::vector<int> match_parameters(const Graph& graph, const std::string& pattern,
                                  const std::string& flag);

// The candidate within edit distance 3 (and less than half of its length) of `name`, or "".
std::string nearest_name(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace ft
