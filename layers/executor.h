// Executor: runs a compiled graph. It is the only place that calls layers and hooks. Binding lays all
// tensors out once; a pass then allocates nothing, waits for nothing and can be captured.
// Used by one thread. Graph, backend, parameters and arena outlive it.
#pragma once

#include <functional>

#include "layers/compile.h"

namespace ft {

// Sees every node before and after it runs; no observer, no cost. Called on the thread that queues.
class Observer {
 public:
  virtual ~Observer() = default;
  enum class When : uint8_t { before_forward, after_forward, before_backward, after_backward };
  virtual void observe(When when, const CompiledNode& node, const Pass& pass) = 0;
};

class Executor {
 public:
  // `arena` holds compiled.arena_bytes() or more; executors that never run at the same time may share it.
  // `state` is the step state (u64 {kStepStateWords}).
  Executor(CompiledGraph& compiled, ParameterSet& parameters, Backend& backend, const Tensor& arena,
           const Tensor& state);

  // A value or its gradient, as compiled. What was not kept holds something else after the step.
  Tensor value(ValueId v) const;
  Tensor gradient(ValueId v) const;

  void forward(StreamRef s);
  // Starts from gradient(output()), which the caller has written (it survives and may be written once for all).
  void backward(StreamRef s);

  void add_observer(Observer* observer) { observers_.push_back(observer); }
  CompiledGraph& compiled() { return compiled_; }

 private:
  struct Bound {  // one node with its tensors
    std::vector<Tensor> x, dx, side;
    std::vector<ParamView> params;
    Tensor y, dy, aux, forward_workspace, backward_workspace;
  };
  Tensor block(int index, const TensorSpec& spec) const;
  Tensor bytes_block(int index) const;
  Bound bind(const CompiledNode& c) const;
  void refresh(const CompiledNode& c, Bound& bound) const;
  void notify(Observer::When when, const CompiledNode& c, const Pass& pass) const;
  void backward_node(const CompiledNode& c, Bound& bound, StreamRef s);

  CompiledGraph& compiled_;
  ParameterSet& parameters_;
  Backend& backend_;
  Tensor arena_, state_;
  std::vector<Bound> bound_;
  std::vector<Observer*> observers_;
};

// An arena for compilations that share one: as large as the largest of them.
Tensor make_arena(Backend& backend, std::initializer_list<const CompiledGraph*> compilations);
// A step state in device memory, zero.
Tensor make_step_state(Backend& backend);

}  // namespace ft
