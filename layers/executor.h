// Executor: runs a compiled graph. It is the only place that calls layers and hooks. Binding lays all
// tensors out once; a pass then allocates nothing, waits for nothing and can be captured.
// Used by one thread. Graph, backend, parameters and arena outlive it.
#pragma once

#include <functional>

#include "layers/compile.h"

namespace ft {

// What a node does in one piece of a step.
enum class Work : uint8_t {
  forward,
  backward_data,     // dx
  backward_weights,  // gradients of the parameters
  backward,          // both in one, where a layer does not part them
  gradient_sum,      // what it passed back is added to, or copied for, the gradient of an input
};

// Sees every piece of work before and after it is queued; no observer, no cost. Called on the thread that queues.
class Observer {
 public:
  virtual ~Observer() = default;
  enum class When : uint8_t { before, after };
  // `pass` holds what the work reads and writes; in a gradient_sum, dy is added to (or copied to) dx[0].
  virtual void observe(When when, Work work, const CompiledNode& node, const Pass& pass) = 0;
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
    std::vector<ParamView> params, values;  // values: params without their gradients
    std::vector<Tensor> no_dx;              // as many as dx, all empty
    Tensor y, dy, aux, forward_workspace, backward_workspace;
  };
  Tensor block(int index, const TensorSpec& spec) const;
  Tensor bytes_block(int index) const;
  Bound bind(const CompiledNode& c) const;
  void refresh(const CompiledNode& c, Bound& bound) const;
  // Runs fn between the calls of the observers.
  template <class Fn>
  void watched(Work work, const CompiledNode& c, const Pass& pass, const Fn& fn) const;
  void backward_node(const CompiledNode& c, Bound& bound, StreamRef s);
  void backward_layer(const CompiledNode& c, const Bound& bound, StreamRef s) const;
  void sum_gradients(const CompiledNode& c, const Bound& bound, size_t input, StreamRef s) const;

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
