// Compilation: selecting nodes, deciding what trains, making plans.
#include "layers/compile.h"

#include <algorithm>

#include "layers/compiler.h"

namespace ft {

CompiledGraph::CompiledGraph(const Graph& graph, Backend& backend, const CompileOptions& options)
    : graph_(graph), options_(options), values_(graph.values().size()) {
  FT_CHECK(!graph.nodes().empty() && options.batch >= 1, "nothing to compile");
  if (options_.to == -1) options_.to = graph.nodes().back().output;
  Compiler(*this, backend).run();
  arena_bytes_ = plan_arena(blocks_, options_.reuse_memory);
}

bool CompiledGraph::has_backward() const {
  return std::ranges::any_of(nodes_, &CompiledNode::runs_backward);
}

size_t CompiledGraph::unplanned_bytes() const {
  std::vector<ArenaBlock> copy = blocks_;
  return plan_arena(copy, false);
}

double CompiledGraph::flops(const CompiledNode& node) const {
  std::vector<Shape> shapes;
  for (ValueId v : node.inputs) shapes.push_back(values_[static_cast<size_t>(v)].spec.shape);
  return node.layer->flops(shapes);
}

Compiler::Compiler(CompiledGraph& out, Backend& backend)
    : out_(out), graph_(out.graph_), options_(out.options_), backend_(backend) {
  const size_t values = graph_.values().size();
  kept_.assign(values, false);
  needs_gradient_.assign(values, false);
  pinned_gradient_.assign(values, false);
  for (ValueId v : options_.keep) kept_.at(static_cast<size_t>(v)) = true;
  for (ValueId v : options_.keep_gradients) {
    kept_.at(static_cast<size_t>(v)) = true;
    pinned_gradient_.at(static_cast<size_t>(v)) = true;
  }
  kept_.at(static_cast<size_t>(options_.to)) = true;
}

void Compiler::run() {
  select_nodes();
  find_active();
  connect();
  if (options_.fuse) {
    rewrite();
    connect();
  }
  set_up_layers();
  place_values();
  walk_backward();
}

// All ancestors of `to`, in graph order, stopping at `from`.
void Compiler::select_nodes() {
  std::vector<bool> wanted(graph_.values().size(), false);
  wanted[static_cast<size_t>(options_.to)] = true;
  for (auto it = graph_.nodes().rbegin(); it != graph_.nodes().rend(); ++it) {
    if (!wanted[static_cast<size_t>(it->output)] || it->output == options_.from) continue;
    for (ValueId v : it->inputs) wanted[static_cast<size_t>(v)] = true;
  }
  for (size_t i = 0; i < graph_.nodes().size(); ++i) {
    const Node& n = graph_.nodes()[i];
    if (!wanted[static_cast<size_t>(n.output)] || n.output == options_.from) continue;
    CompiledNode& c = out_.nodes_.emplace_back();
    c.node = static_cast<int>(i);
    c.name = n.name;
    c.inputs = n.inputs;
    c.output = n.output;
    for (int p = 0; p < n.parameter_count; ++p) c.parameters.push_back(n.first_parameter + p);
    c.layer = n.layer->clone();
  }
  FT_CHECK(!out_.nodes_.empty(), "no node lies between the two ends of the compilation");
  for (size_t v = 0; v < wanted.size(); ++v) out_.values_[v].used = wanted[v];
}

// A value needs a gradient if a parameter before it trains, or if its gradient, or that of a value before
// it, is kept. A node trains (dropout on, batch statistics) if its output needs one in a training compilation.
void Compiler::find_active() {
  const bool training = options_.mode == Mode::training;
  for (size_t v = 0; v < pinned_gradient_.size(); ++v) needs_gradient_[v] = pinned_gradient_[v];
  for (CompiledNode& c : out_.nodes_) {
    const bool has_trainable = std::ranges::any_of(c.parameters, [&](int i) {
      const Parameter& p = graph_.parameters()[static_cast<size_t>(i)];
      return p.trainable && !p.is_statistic();
    });
    const bool input_needs =
        std::ranges::any_of(c.inputs, [&](ValueId v) { return needs_gradient(v); });
    c.wants_dw = training && has_trainable;
    c.runs_backward = c.wants_dw || input_needs;
    c.training = training && c.runs_backward;
    c.bn = bn_mode(has_trainable);
    FT_CHECK(!c.wants_dw || c.bn != BnMode::frozen || c.layer->kind() != "batchnorm2d",
             c.name + ": gamma and beta of a frozen batch-norm must not be trainable");
    if (c.runs_backward) needs_gradient_[static_cast<size_t>(c.output)] = true;
  }
  if (needs_gradient(options_.to)) pinned_gradient_[static_cast<size_t>(options_.to)] = true;
}

// Without an override: evaluation uses running statistics; in training a batch-norm whose gamma and beta are
// frozen is frozen as a whole, any other uses the statistics of its batch.
BnMode Compiler::bn_mode(bool trains) const {
  if (options_.mode == Mode::inference) return BnMode::frozen;
  if (options_.bn) return *options_.bn;
  return trains ? BnMode::batch : BnMode::frozen;
}

// Who makes and who reads every value, now that it is settled what runs.
void Compiler::connect() {
  producer_.assign(out_.values_.size(), -1);
  users_.assign(out_.values_.size(), {});
  for (CompiledValue& v : out_.values_) v.used = false;
  for (size_t i = 0; i < out_.nodes_.size(); ++i) {
    const CompiledNode& c = out_.nodes_[i];
    producer_[static_cast<size_t>(c.output)] = static_cast<int>(i);
    value(c.output).used = true;
    for (ValueId v : c.inputs) {
      value(v).used = true;
      users_[static_cast<size_t>(v)].push_back(i);
    }
  }
}

// The loss and its logits stay in f32 (f64); everything else has the compute type.
DType Compiler::output_dtype(ValueId y) const {
  const DType compute = options_.numerics.compute;
  if (compute == DType::f64) return DType::f64;
  const std::vector<int>& users = graph_.values()[static_cast<size_t>(y)].users;
  const bool feeds_loss = std::ranges::any_of(users, [&](int user) {
    return graph_.nodes()[static_cast<size_t>(user)].layer->kind() == "softmax_cross_entropy";
  });
  return users.empty() || feeds_loss ? DType::f32 : compute;
}

LayerSetup Compiler::layer_setup(const CompiledNode& c, const std::vector<TensorSpec>& x) const {
  std::vector<bool> wants_dx;
  for (ValueId v : c.inputs) wants_dx.push_back(needs_gradient(v));
  return {backend_,
          c.name,
          static_cast<uint32_t>(c.node),
          x,
          c.training,
          c.bn,
          output_dtype(c.output),
          wants_dx,
          c.wants_dw,
          options_.numerics};
}

void Compiler::set_up_layers() {
  for (size_t v = 0; v < out_.values_.size(); ++v) {
    const Value& description = graph_.values()[v];
    CompiledValue& compiled = out_.values_[v];
    if (!compiled.used || producer_[v] != -1) continue;
    const bool image = description.dtype != DType::i32;
    const DType compute = options_.numerics.compute;
    compiled.spec = {
        description.shape.with_n(options_.batch), image ? compute : DType::i32,
        image && description.shape.rank() == 4 ? backend_.image_layout(compute) : Layout::plain};
  }
  if (options_.from != -1) value(options_.from).spec = options_.from_spec;
  for (CompiledNode& c : out_.nodes_) {
    std::vector<TensorSpec> x;
    for (ValueId v : c.inputs) x.push_back(value(v).spec);
    c.plan = c.layer->setup(layer_setup(c, x));
    value(c.output).spec = c.plan.y;
  }
}

int Compiler::new_block(size_t bytes, int64_t first, int64_t last) {
  out_.blocks_.push_back({bytes, first, last, 0});
  members_.emplace_back();
  return static_cast<int>(out_.blocks_.size()) - 1;
}

void Compiler::extend(int block, int64_t time) {
  ArenaBlock& b = out_.blocks_[static_cast<size_t>(block)];
  b.first = std::min(b.first, time);
  b.last = std::max(b.last, time);
}

}  // namespace ft
