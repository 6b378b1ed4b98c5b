// Autograd, decided once: the walk from the last node to the first that says which gradients are made,
// where they lie, and where they are added because a value has several users. This list is the tape of a
// textbook; CompiledGraph::tape() prints it and the executor runs it as it stands.
#include <algorithm>

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

std::string CompiledGraph::tape() const {
  std::string text;
  for (auto c = nodes_.rbegin(); c != nodes_.rend(); ++c) {
    if (!c->runs_backward) continue;
    text += fmt::format("{:<28} d({})", c->name, c->name);
    for (size_t k = 0; k < c->flow.size(); ++k) {
      const std::string& x = graph_.values()[static_cast<size_t>(c->inputs[k])].name;
      switch (c->flow[k]) {
        case GradientFlow::none:
          break;
        case GradientFlow::write:
          text += fmt::format(" -> d({})", x);
          break;
        case GradientFlow::add:
          text += fmt::format(" -> added to d({})", x);
          break;
        case GradientFlow::pass:
          text += fmt::format(" = d({})", x);
          break;
        case GradientFlow::copy:
          text += fmt::format(" copied to d({})", x);
          break;
        case GradientFlow::pass_add:
          text += fmt::format(" added to d({})", x);
          break;
      }
    }
    for (int p : c->parameters) {
      const Parameter& parameter = graph_.parameters()[static_cast<size_t>(p)];
      if (c->wants_dw && parameter.trainable && !parameter.is_statistic())
        text += fmt::format(" -> d({})", parameter.name);
    }
    if (c->plan.backward_reads_x > 0) text += "; reads x";
    if (c->plan.backward_reads_y) text += "; reads y";
    if (c->plan.aux_bytes > 0) text += "; reads aux";
    text += '\n';
  }
  return text;
}

}  // namespace ft
