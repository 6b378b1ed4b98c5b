// Running a compiled graph.
#include "layers/executor.h"

#include <algorithm>

namespace ft {

Executor::Executor(CompiledGraph& compiled, ParameterSet& parameters, Backend& backend,
                   const Tensor& arena, const Tensor& state)
    : compiled_(compiled),
      parameters_(parameters),
      backend_(backend),
      arena_(arena),
      state_(state) {
  FT_CHECK(arena.bytes() >= compiled.arena_bytes(), "the arena is smaller than the plan");
  for (const CompiledNode& c : compiled.nodes()) {
    bound_.push_back(bind(c));
    if (c.bn != BnMode::batch || c.layer->kind() != "batchnorm2d") continue;
    for (int p : c.parameters)
      if (compiled.graph().parameters()[static_cast<size_t>(p)].is_statistic())
        parameters.mark_moving(p);
  }
}

Tensor Executor::block(int index, const TensorSpec& spec) const {
  if (index == -1) return {};
  const ArenaBlock& b = compiled_.blocks()[static_cast<size_t>(index)];
  return {spec, static_cast<std::byte*>(arena_.data()) + b.offset};
}

Tensor Executor::bytes_block(int index) const {
  if (index == -1) return {};
  const size_t bytes = compiled_.blocks()[static_cast<size_t>(index)].bytes;
  return block(index, {{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain});
}

Tensor Executor::value(ValueId v) const {
  const CompiledValue& c = compiled_.values()[static_cast<size_t>(v)];
  FT_CHECK(c.block != -1, "the value is not part of this compilation");
  return block(c.block, c.spec);
}

Tensor Executor::gradient(ValueId v) const {
  const CompiledValue& c = compiled_.values()[static_cast<size_t>(v)];
  FT_CHECK(c.gradient != -1, "the gradient is not part of this compilation");
  return block(c.gradient, c.spec);
}

Executor::Bound Executor::bind(const CompiledNode& c) const {
  Bound b;
  b.y = value(c.output);
  if (c.runs_backward) b.dy = gradient(c.output);
  for (size_t k = 0; k < c.inputs.size(); ++k) {
    const ValueId v = c.inputs[k];
    b.x.push_back(value(v));
    const bool flows = c.runs_backward && c.flow[k] != GradientFlow::none;
    b.dx.push_back(flows ? gradient(v) : Tensor{});
    b.side.push_back(flows ? block(c.side[k], b.x.back().spec()) : Tensor{});
  }
  for (int p : c.parameters) {
    b.params.push_back(parameters_.view(p));
    if (!c.wants_dw) b.params.back().grad = {};  // it trains elsewhere, not in this compilation
    b.values.push_back(b.params.back());
    b.values.back().grad = {};
  }
  b.no_dx.resize(b.dx.size());
  b.aux = bytes_block(c.aux);
  b.forward_workspace = bytes_block(c.forward_workspace);
  b.backward_workspace = bytes_block(c.backward_workspace);
  return b;
}

// Versions of the parameters move between steps; where they lie does not.
void Executor::refresh(const CompiledNode& c, Bound& bound) const {
  for (size_t p = 0; p < bound.params.size(); ++p)
    bound.params[p].version = bound.values[p].version = parameters_.version(c.parameters[p]);
}

template <class Fn>
void Executor::watched(Work work, const CompiledNode& c, const Pass& pass, const Fn& fn) const {
  for (Observer* observer : observers_) observer->observe(Observer::When::before, work, c, pass);
  fn();
  for (Observer* observer : observers_) observer->observe(Observer::When::after, work, c, pass);
}

void Executor::forward(StreamRef s) {
  for (size_t i = 0; i < bound_.size(); ++i) {
    const CompiledNode& c = compiled_.nodes()[i];
    if (c.plan.alias) continue;
    Bound& b = bound_[i];
    refresh(c, b);
    const Pass pass{backend_, s, b.x, b.y, {}, {}, b.params, b.aux, b.forward_workspace, state_};
    watched(Work::forward, c, pass, [&] { c.layer->forward(pass); });
  }
}

void Executor::backward(StreamRef s) {
  for (size_t i = bound_.size(); i-- > 0;) {
    const CompiledNode& c = compiled_.nodes()[i];
    if (c.runs_backward) backward_node(c, bound_[i], s);
  }
}

void Executor::backward_node(const CompiledNode& c, Bound& b, StreamRef s) {
  if (c.plan.alias) {
    if (c.flow[0] == GradientFlow::copy || c.flow[0] == GradientFlow::pass_add)
      sum_gradients(c, b, 0, s);
    return;
  }
  refresh(c, b);
  // What is added is first written to the side.
  const auto swap_sides = [&] {
    for (size_t k = 0; k < b.dx.size(); ++k)
      if (c.flow[k] == GradientFlow::add) std::swap(b.dx[k], b.side[k]);
  };
  swap_sides();
  backward_layer(c, b, s);
  swap_sides();
  for (size_t k = 0; k < b.dx.size(); ++k)
    if (c.flow[k] == GradientFlow::add) sum_gradients(c, b, k, s);
}

void Executor::backward_layer(const CompiledNode& c, const Bound& b, StreamRef s) const {
  const bool makes_dx = std::ranges::any_of(b.dx, [](const Tensor& dx) { return !dx.empty(); });
  Pass pass{backend_, s, b.x, b.y, b.dy, b.dx, b.params, b.aux, b.backward_workspace, state_};
  const auto run = [&](Work work) { watched(work, c, pass, [&] { c.layer->backward(pass); }); };
  if (!c.wants_dw) return run(Work::backward_data);
  if (!makes_dx) return run(Work::backward_weights);
  if (!c.layer->splits_backward()) return run(Work::backward);
  pass.params = b.values;
  run(Work::backward_data);
  pass.params = b.params;
  pass.dx = b.no_dx;
  run(Work::backward_weights);
}

void Executor::sum_gradients(const CompiledNode& c, const Bound& b, size_t k, StreamRef s) const {
  const Tensor& share = c.plan.alias ? b.dy : b.side[k];
  const auto dx = std::span(b.dx).subspan(k, 1);
  const Pass pass{backend_, s, {}, {}, share, dx, {}, {}, {}, state_};
  watched(Work::gradient_sum, c, pass, [&] {
    if (c.flow[k] == GradientFlow::copy) return backend_.convert(s, share, dx[0]);
    backend_.add(s, dx[0], share, dx[0]);
  });
}

Tensor make_arena(Backend& backend, std::initializer_list<const CompiledGraph*> compilations) {
  size_t bytes = 1;
  for (const CompiledGraph* c : compilations) bytes = std::max(bytes, c->arena_bytes());
  return {{{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain}, backend.allocator()};
}

Tensor make_step_state(Backend& backend) {
  const Tensor state({{kStepStateWords}, DType::u64, Layout::plain}, backend.allocator());
  const auto stream = backend.make_stream();
  const StepState zero;
  backend.upload(stream->ref(), &zero, state);
  backend.synchronize(stream->ref());
  return state;
}

}  // namespace ft
