// Running a compiled graph.
#include "layers/executor.h"

#include <algorithm>

namespace ft {

Executor::Executor(CompiledGraph& compiled, ParameterSet& parameters, Backend& backend,
                   const Tensor& arena, const Tensor& state)
    : compiled_(compiled), parameters_(parameters), backend_(backend), arena_(arena), state_(state) {
  FT_CHECK(arena.bytes() >= compiled.arena_bytes(), "the arena is smaller than the plan");
  for (const CompiledNode& c : compiled.nodes()) {
    bound_.push_back(bind(c));
    if (c.bn != BnMode::batch || c.layer->kind() != "batchnorm2d") continue;
    for (int p : c.parameters)
      if (compiled.graph().parameters()[static_cast<size_t>(p)].is_statistic()) parameters.mark_moving(p);
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
  }
  b.aux = bytes_block(c.aux);
  b.forward_workspace = bytes_block(c.forward_workspace);
  b.backward_workspace = bytes_block(c.backward_workspace);
  return b;
}

// Versions of the parameters move between steps; where they lie does not.
void Executor::refresh(const CompiledNode& c, Bound& bound) const {
  for (size_t p = 0; p < bound.params.size(); ++p)
    bound.params[p].version = parameters_.version(c.parameters[p]);
}

void Executor::notify(Observer::When when, const CompiledNode& c, const Pass& pass) const {
  for (Observer* observer : observers_) observer->observe(when, c, pass);
}

void Executor::forward(StreamRef s) {
  for (size_t i = 0; i < bound_.size(); ++i) {
    const CompiledNode& c = compiled_.nodes()[i];
    if (c.plan.alias) continue;
    Bound& b = bound_[i];
    refresh(c, b);
    const Pass pass{backend_, s,     b.x, b.y, {}, {}, b.params, b.aux, b.forward_workspace, state_};
    notify(Observer::When::before_forward, c, pass);
    c.layer->forward(pass);
    notify(Observer::When::after_forward, c, pass);
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
    if (c.flow[0] == GradientFlow::copy) backend_.convert(s, b.dy, b.dx[0]);
    if (c.flow[0] == GradientFlow::pass_add) backend_.add(s, b.dx[0], b.dy, b.dx[0]);
    return;
  }
  refresh(c, b);
  // What is added is first written to the side.
  const auto swap_sides = [&] {
    for (size_t k = 0; k < b.dx.size(); ++k)
      if (c.flow[k] == GradientFlow::add) std::swap(b.dx[k], b.side[k]);
  };
  swap_sides();
  const Pass pass{backend_, s, b.x, b.y, b.dy, b.dx, b.params, b.aux, b.backward_workspace, state_};
  notify(Observer::When::before_backward, c, pass);
  c.layer->backward(pass);
  notify(Observer::When::after_backward, c, pass);
  swap_sides();
  for (size_t k = 0; k < b.dx.size(); ++k)
    if (c.flow[k] == GradientFlow::add) backend_.add(s, b.dx[k], b.side[k], b.dx[k]);
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
