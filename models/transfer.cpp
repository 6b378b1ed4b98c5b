// Freezing and factors.
#include "models/transfer.h"

#include <algorithm>

#include "models/patterns.h"

namespace ft {
namespace {

using Factors = std::vector<std::pair<std::string, std::pair<double, double>>>;

bool is_bias(const Parameter& p) { return p.role == ParamRole::bias || p.role == ParamRole::beta; }

void set_factors(Graph& graph, const Factors& factors, const std::string& flag,
                 double Parameter::* member) {
  for (const auto& [pattern, factor] : factors)
    for (int i : match_parameters(graph, pattern, flag)) {
      Parameter& p = graph.parameters()[static_cast<size_t>(i)];
      p.*member = is_bias(p) ? factor.second : factor.first;
    }
}

void set_trainable(Graph& graph, const std::string& pattern, const std::string& flag, bool value) {
  if (pattern.empty()) return;
  for (int i : match_parameters(graph, pattern, flag)) {
    Parameter& p = graph.parameters()[static_cast<size_t>(i)];
    if (!p.is_statistic()) p.trainable = value;
  }
}

}  // namespace

void apply_transfer(Model& model, const TransferOptions& options) {
  Graph& graph = model.graph;
  const std::string head = model.head + ".*";
  for (Parameter& p : graph.parameters()) {
    const bool in_head = glob_match(head, p.name);
    p.trainable = !p.is_statistic() && (in_head || !options.pretrained);
    p.lr_factor = in_head && options.pretrained ? options.head_lr_factor : 1;
    p.decay_factor = 1;
    // Caffe and MATLAB: biases of the published AlexNet learn twice as fast (the new head has its own factor).
    if (options.matlab_factors && model.name == "alexnet" && is_bias(p) && !in_head)
      p.lr_factor = 2;
  }
  set_factors(graph, options.lr_factors, "--lr-factor", &Parameter::lr_factor);
  set_factors(graph, options.decay_factors, "--decay-factor", &Parameter::decay_factor);
  set_trainable(graph, options.freeze, "--freeze", false);
  set_trainable(graph, options.unfreeze, "--unfreeze", true);
  for (Parameter& p : graph.parameters()) {
    const bool bn = p.role == ParamRole::gamma || p.role == ParamRole::beta;
    if (p.lr_factor == 0 || (bn && options.bn == BnMode::frozen)) p.trainable = false;
  }
  if (std::ranges::none_of(graph.parameters(), &Parameter::trainable))
    throw Error(2024, "--freeze", "nothing is left to train",
                "leave at least the head trainable, or use ftrun evaluate");
}

}  // namespace ft
