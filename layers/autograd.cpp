// Autograd, decided once: the walk from the last node to the first that says which gradients are made,
// where they lie, and where they are added because a value has several users. This list is the tape of a
// textbook; CompiledGraph::tape() prints it and the executor runs it as it stands.
#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "layers/compiler.h"

namespace ft {

void Compiler::walk_backward() {
  if (!needs_gradient(options_.to)) return;
  CompiledValue& output = value(options_.to);
  output.gradient = new_block(output.spec.bytes(), 0, end_time());  // the seed, written once
  for (size_t i = out_.nodes_.size(); i-- > 0;) {
    CompiledNode& c = out_.nodes_[i];
    const size_t inputs = c.inputs.size();
    c.flow.assign(inputs, GradientFlow::none);
    c.side.assign(inputs, -1);
    if (!c.runs_backward) continue;
    FT_CHECK(value(c.output).gradient != -1, c.name + " has no gradient to start from");
    extend(value(c.output).gradient, backward_time(i));
    for (size_t k = 0; k < inputs; ++k)
      if (needs_gradient(c.inputs[k])) contribute(i, k);
  }
  for (size_t v = 0; v < out_.values_.size(); ++v)
    if (out_.values_[v].gradient != -1 && pinned_gradient(static_cast<ValueId>(v)))
      extend(out_.values_[v].gradient, end_time());
}

// Node i's share of the gradient of its input k. The first share is written, later ones are added; a view
// passes dy on, and an element-wise node writes over dy, unless that dy has to survive.
void Compiler::contribute(size_t i, size_t k) {
  CompiledNode& c = out_.nodes_[i];
  const ValueId x = c.inputs[k], y = c.output;
  CompiledValue& target = value(x);
  const int64_t now = backward_time(i);
  const bool first = target.gradient == -1;
  const bool free_dy = !pinned_gradient(y);
  if (first) {
    const bool take_over = c.plan.in_place == static_cast<int>(k) && target.spec == value(y).spec;
    if (free_dy && (c.plan.alias || take_over)) {
      target.gradient = value(y).gradient;
    } else {
      target.gradient = new_block(target.spec.bytes(), now, now);
    }
    c.flow[k] =
        !c.plan.alias ? GradientFlow::write : (free_dy ? GradientFlow::pass : GradientFlow::copy);
  } else if (c.plan.alias) {
    c.flow[k] = GradientFlow::pass_add;
  } else {
    c.flow[k] = GradientFlow::add;
    c.side[k] = new_block(target.spec.bytes(), now, now);
  }
  extend(target.gradient, now);
}

namespace {

const char* arrow(GradientFlow flow) {
  switch (flow) {
    case GradientFlow::none:
      break;
    case GradientFlow::write:
      return " -> ";
    case GradientFlow::add:
      return " -> added to ";
    case GradientFlow::pass:
      return " = ";
    case GradientFlow::copy:
      return " copied to ";
    case GradientFlow::pass_add:
      return " added to ";
  }
  return "";
}

constexpr char kLegend[] =
    "->: made in its own memory; added to: a further user of the same value, summed; =: the same "
    "memory under another shape.\n"
    "saved: what backward reads of the forward pass, with the bytes that stay until then (aux: "
    "what only this node reads).\n";

std::string in_units(size_t bytes) {
  const double b = static_cast<double>(bytes);
  if (bytes < 1024) return fmt::format("{} bytes", bytes);
  return bytes < 1048576 ? fmt::format("{:.1f} KiB", b / 1024)
                         : fmt::format("{:.1f} MiB", b / 1048576);
}

}  // namespace

std::string CompiledGraph::gradients_line(const CompiledNode& c) const {
  std::string text = fmt::format("d({})", graph_.values()[static_cast<size_t>(c.output)].name);
  for (size_t k = 0; k < c.flow.size(); ++k)
    if (c.flow[k] != GradientFlow::none)
      text += fmt::format("{}d({})", arrow(c.flow[k]),
                          graph_.values()[static_cast<size_t>(c.inputs[k])].name);
  for (int p : c.parameters) {
    const Parameter& parameter = graph_.parameters()[static_cast<size_t>(p)];
    if (c.wants_dw && parameter.trainable && !parameter.is_statistic())
      text += fmt::format(" -> d({})", parameter.name);
  }
  return text;
}

std::vector<ValueId> CompiledGraph::saved_values(const CompiledNode& c) const {
  std::vector<ValueId> saved;
  for (int k = 0; k < c.plan.backward_reads_x; ++k)
    saved.push_back(c.inputs[static_cast<size_t>(k)]);
  if (c.plan.backward_reads_y) saved.push_back(c.output);
  return saved;
}

std::string CompiledGraph::tape() const {
  std::string text;
  size_t name_width = 4, kept_bytes = 0;
  for (const CompiledNode& c : nodes_)
    if (c.runs_backward) name_width = std::max(name_width, c.name.size());
  std::set<int> kept;  // blocks: a value that two nodes read stays once
  const auto keep = [&](int block, size_t bytes) {
    if (block != -1 && kept.insert(block).second) kept_bytes += bytes;
  };
  for (auto c = nodes_.rbegin(); c != nodes_.rend(); ++c) {
    if (!c->runs_backward) continue;
    text += fmt::format("{:<{}}  {}", c->name, name_width, gradients_line(*c));
    const char* separator = "; saved: ";
    for (ValueId v : saved_values(*c)) {
      const CompiledValue& value = values_[static_cast<size_t>(v)];
      keep(value.block, value.spec.bytes());
      text +=
          fmt::format("{}{} {}", std::exchange(separator, ", "),
                      graph_.values()[static_cast<size_t>(v)].name, in_units(value.spec.bytes()));
    }
    if (c->plan.aux_bytes > 0) {
      keep(c->aux, c->plan.aux_bytes);
      text += fmt::format("{}aux {}", separator, in_units(c->plan.aux_bytes));
    }
    text += '\n';
  }
  if (text.empty()) return "nothing runs backward: no parameter trains\n";
  return text + fmt::format("saved for backward: {} in {} blocks, each counted once\n{}",
                            in_units(kept_bytes), kept.size(), kLegend);
}

}  // namespace ft
