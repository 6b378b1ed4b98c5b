// The values of all parameters of a graph, in flat device buffers that every compilation of it shares.
// Trainable parameters come first, those with equal factors side by side, so that the optimizer is one
// kernel over one range a group; gradients (and the optimizer's state) have the same offsets.
// Which parameters train is decided by the graph at construction. Not synchronised.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "layers/graph.h"

namespace ft {

// A range of the flat buffers with one learning rate and one decay.
struct ParameterGroup {
  int64_t first = 0, count = 0;  // elements, padding between parameters included
  double lr_factor = 1, decay_factor = 1;
  std::vector<int> parameters;
};

class ParameterSet {
 public:
  // dtype: f32, or f64 for gradient checks on ref. Values start at zero; backend and graph outlive this.
  ParameterSet(const Graph& graph, Backend& backend, DType dtype = DType::f32);

  // Draws every parameter (that `wanted` names, where given) by its Init, as a function of `seed` and its name.
  void initialize(uint64_t seed, StreamRef s,
                  const std::function<bool(const Parameter&)>& wanted = {});
  // Values in logical order (K,C,R,S …) from and to the host; waits for `s`.
  void set(int parameter, std::span<const float> values, StreamRef s);
  std::vector<float> get(int parameter, StreamRef s) const;
  std::vector<float> get_grad(int parameter, StreamRef s) const;

  // Views. grad is empty for a parameter that does not train.
  const Tensor& value(int parameter) const { return slots_[static_cast<size_t>(parameter)].value; }
  const Tensor& grad(int parameter) const { return slots_[static_cast<size_t>(parameter)].grad; }
  const std::string& name(int parameter) const {
    return graph_.parameters()[static_cast<size_t>(parameter)].name;
  }
  ParamView view(int parameter) const;
  // Moves whenever the values of the parameter change.
  uint64_t version(int parameter) const;
  // A training compilation updates this running statistic: its version moves with every step.
  void mark_moving(int parameter) { slots_[static_cast<size_t>(parameter)].moving = true; }

  const std::vector<ParameterGroup>& groups() const { return groups_; }
  const Tensor& values() const { return values_; }           // flat, trainable part first
  const Tensor& gradients() const { return gradients_; }     // flat, trainable part only
  int64_t trainable_elements() const { return trainable_; }  // padding included
  size_t bytes() const;

  // To be called after the optimizer changed the trainable values: packed copies are remade.
  void values_changed() { ++step_version_; }

 private:
  struct Slot {
    Tensor value, grad;
    int64_t offset = 0;
    bool moving = false;  // a running statistic of a batch-norm in mode batch
  };
  std::vector<float> download(const Tensor& t, StreamRef s) const;

  const Graph& graph_;
  Backend& backend_;
  DType dtype_;
  std::vector<Slot> slots_;
  std::vector<ParameterGroup> groups_;
  Tensor values_, gradients_;
  int64_t trainable_ = 0;
  uint64_t load_version_ = 1, step_version_ = 0;
};

// Draws one parameter: `values` in logical order, a function of seed and the parameter's full name.
void draw_initial(const Parameter& parameter, uint64_t seed, std::span<float> values);

}  // namespace ft
