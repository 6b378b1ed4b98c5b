// Layer table, DOT, and the printed form of a compiled graph.
#include "layers/summary.h"

#include <fmt/format.h>

#include <algorithm>

namespace ft {
namespace {

struct Counts {
  int64_t all = 0, trainable = 0;
};

Counts count_parameters(const Graph& graph, const Node& node) {
  Counts counts;
  for (int p = 0; p < node.parameter_count; ++p) {
    const Parameter& parameter = graph.parameters()[static_cast<size_t>(node.first_parameter + p)];
    if (parameter.is_statistic()) continue;
    counts.all += parameter.shape.elements();
    if (parameter.trainable) counts.trainable += parameter.shape.elements();
  }
  return counts;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::string place(const CompiledGraph& compiled, ValueId v) {
  const CompiledValue& value = compiled.values()[static_cast<size_t>(v)];
  if (value.block == -1) return "";
  return fmt::format("  {:>13} bytes at {:>13}  {}", value.spec.bytes(),
                     compiled.blocks()[static_cast<size_t>(value.block)].offset, value.spec.str());
}

}  // namespace

std::string summary_table(const Graph& graph, int64_t batch, const CompiledGraph* compiled) {
  size_t width = 4, settings = 8, output = 6;
  for (const Node& node : graph.nodes()) {
    width = std::max(width, node.name.size());
    settings = std::max(settings, node.layer->settings().size());
    output = std::max(
        output, graph.values()[static_cast<size_t>(node.output)].shape.with_n(batch).str().size());
  }
  static constexpr char kRow[] = "{:<{}}  {:<21}  {:<{}}  {:<{}}  {:>12}  {:>8}{}\n";
  std::string text = fmt::format(kRow, "node", width, "kind", "settings", settings, "output",
                                 output, "parameters", "MMAC", "");
  Counts sum;
  double flops = 0;
  for (const Node& node : graph.nodes()) {
    const std::vector<Shape> x = graph.input_shapes(node, batch);
    const Counts counts = count_parameters(graph, node);
    const double f = node.layer->flops(x);
    sum.all += counts.all;
    sum.trainable += counts.trainable;
    flops += f;
    const Shape y = graph.values()[static_cast<size_t>(node.output)].shape.with_n(batch);
    text += fmt::format(
        kRow, node.name, width, node.layer->kind(), node.layer->settings(), settings, y.str(),
        output,
        counts.all == 0 ? "" : fmt::format("{}{}", counts.all, counts.trainable ? "" : " f"),
        f == 0 ? "" : fmt::format("{:.1f}", f / 2e6),
        compiled ? place(*compiled, node.output) : "");
  }
  return text +
         fmt::format("{} parameters, {} trainable (f: frozen); {:.3f} GMAC a forward pass of {}\n",
                     sum.all, sum.trainable, flops / 2e9, batch);
}

std::string graph_dot(const Graph& graph) {
  std::string text = "digraph model {\n  node [shape=box, fontname=\"sans-serif\"];\n";
  for (const Value& v : graph.values())
    if (v.producer == -1) text += fmt::format("  {} [shape=ellipse];\n", quoted(v.name));
  for (const Node& node : graph.nodes()) {
    const Shape& y = graph.values()[static_cast<size_t>(node.output)].shape;
    text += fmt::format("  {} [label={}];\n", quoted(node.name),
                        quoted(fmt::format("{}\n{} {}\n{}", node.name, node.layer->kind(),
                                           node.layer->settings(), y.str())));
    for (ValueId v : node.inputs)
      text += fmt::format("  {} -> {};\n", quoted(graph.values()[static_cast<size_t>(v)].name),
                          quoted(node.name));
  }
  return text + "}\n";
}

std::string CompiledGraph::str() const {
  std::string text;
  size_t width = 4;
  for (const CompiledNode& c : nodes_) width = std::max(width, c.name.size());
  for (const CompiledNode& c : nodes_) {
    text += fmt::format("{:<{}} {}{}{}", c.name, width, c.training ? "train" : "eval ",
                        c.runs_backward ? " backward" : "         ", place(*this, c.output));
    const std::string plan = c.plan.alias ? "view" : c.layer->describe(PassKind::forward);
    text += plan.empty() ? "\n" : "  " + plan + "\n";
  }
  return text +
         fmt::format(
             "at: offset in the arena. Arena {:.1f} MiB; at least {:.1f} MiB are alive at once, "
             "{:.1f} MiB without reuse\n",
             static_cast<double>(arena_bytes_) / 1048576.0,
             static_cast<double>(arena_lower_bound(blocks_)) / 1048576.0,
             static_cast<double>(unplanned_bytes()) / 1048576.0);
}

}  // namespace ft
