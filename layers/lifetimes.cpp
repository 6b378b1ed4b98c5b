// Compilation: which memory the values of the forward pass share, and how long each lives.
#include <algorithm>

#include "layers/compiler.h"

namespace ft {

// A value lives from its producer to its last reader, forward or backward. A view lies in the memory of what
// it shows; an element-wise node takes over the memory of its input where nobody reads that any more.
void Compiler::place_values() {
  for (size_t v = 0; v < out_.values_.size(); ++v) {
    CompiledValue& compiled = out_.values_[v];
    if (!compiled.used || producer_[v] != -1) continue;
    compiled.block = new_block(compiled.spec.bytes(), 0, 0);
    members_.back().push_back(static_cast<ValueId>(v));
  }
  for (size_t i = 0; i < out_.nodes_.size(); ++i) {
    CompiledNode& c = out_.nodes_[i];
    const ValueId y = c.output;
    if (c.plan.alias || may_overwrite(i)) {
      const size_t over = c.plan.alias ? 0 : static_cast<size_t>(c.plan.in_place);
      value(y).block = value(c.inputs[over]).block;
    } else {
      value(y).block = new_block(value(y).spec.bytes(), forward_time(i), forward_time(i));
    }
    members_[static_cast<size_t>(value(y).block)].push_back(y);
    extend_reads(i);
  }
  for (size_t v = 0; v < out_.values_.size(); ++v)
    if (out_.values_[v].used && kept(static_cast<ValueId>(v)))
      extend(out_.values_[v].block, end_time());
}

bool Compiler::may_overwrite(size_t i) const {
  const CompiledNode& c = out_.nodes_[i];
  if (c.plan.in_place == -1) return false;
  const ValueId x = c.inputs[static_cast<size_t>(c.plan.in_place)];
  if (value(x).spec != c.plan.y) return false;
  for (ValueId v : members_[static_cast<size_t>(value(x).block)]) {
    const int made_by = producer_[static_cast<size_t>(v)];
    if (kept(v) || made_by == -1) return false;
    const CompiledNode& producer = out_.nodes_[static_cast<size_t>(made_by)];
    if (producer.runs_backward && producer.plan.backward_reads_y) return false;
    for (size_t user : users_[static_cast<size_t>(v)]) {
      if (user > i || reads_later(out_.nodes_[user], v)) return false;
    }
  }
  return true;
}

// Whether the backward pass of a node reads one of its inputs.
bool Compiler::reads_later(const CompiledNode& reader, ValueId v) {
  if (!reader.runs_backward) return false;
  const auto first = reader.inputs.begin();
  return std::find(first, first + reader.plan.backward_reads_x, v) !=
         first + reader.plan.backward_reads_x;
}

// Node i reads its inputs now, and in backward what its layer asked for; its scratch lives for one pass.
void Compiler::extend_reads(size_t i) {
  CompiledNode& c = out_.nodes_[i];
  const int64_t now = forward_time(i), later = backward_time(i);
  for (ValueId v : c.inputs) {
    extend(value(v).block, now);
    if (reads_later(c, v)) extend(value(v).block, later);
  }
  if (c.runs_backward && c.plan.backward_reads_y) extend(value(c.output).block, later);
  if (c.plan.aux_bytes > 0) c.aux = new_block(c.plan.aux_bytes, now, c.runs_backward ? later : now);
  if (c.plan.workspace_bytes == 0) return;
  c.forward_workspace = new_block(c.plan.workspace_bytes, now, now);
  if (c.runs_backward) c.backward_workspace = new_block(c.plan.workspace_bytes, later, later);
}

}  // namespace ft
