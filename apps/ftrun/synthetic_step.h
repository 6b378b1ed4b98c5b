// One step of a network over drawn weights and pixels: what bench times and profile takes apart. The same work as
// the trainer's step, from the upload of the pixels to the update. `ftrun plan` has one of a backend that computes nothing.
// Used by one thread; the backend outlives it.
#pragma once

#include <memory>
#include <vector>

#include "apps/ftrun/network.h"
#include "apps/ftrun/options.h"
#include "apps/ftrun/profiler.h"
#include "layers/executor.h"
#include "optim/sgd.h"

namespace ft::app {

// "head only, frozen conv1": what the options say of freezing; empty: nothing.
std::string frozen_text(const StepOptions& options);

class SyntheticStep {
 public:
  // Compiled, with memory of its own, in which nothing is drawn yet.
  SyntheticStep(const StepOptions& options, Backend& backend);
  SyntheticStep(const StepOptions& options, Backend& backend, StreamRef s)
      : SyntheticStep(options, backend) {
    draw(options, s);
  }

  // The parts of a step, queued in this order; the last two in training only.
  void upload(StreamRef s);     // pixels
  void normalize(StreamRef s);  // pixels -> the image of the network
  void forward(StreamRef s) { executor_->forward(s); }
  void backward(StreamRef s) { executor_->backward(s); }
  void update(StreamRef s) { sgd_->step(s, network_.parameters->gradients(), state_); }
  // All of them.
  void run(StreamRef s);

  bool training() const { return training_; }
  const Network& network() const { return network_; }
  const CompiledGraph& compiled() const { return *compiled_; }
  const Tensor& arena() const { return arena_; }
  const Tensor& velocity() const { return sgd_->velocity(); }
  // Pixels, and the image made of them.
  const Tensor& pixels() const { return pixels_; }
  Tensor image() const { return executor_->value(network_.model.image); }
  // The parts of a step that are no layers.
  WorkRow upload_row() const;
  WorkRow normalize_row() const;
  WorkRow update_row() const;
  // A second executor of the same step, for observers.
  std::unique_ptr<Executor> make_executor() const;

 private:
  void draw(const StepOptions& options, StreamRef s);

  Backend& backend_;
  bool training_;
  Network network_;
  std::unique_ptr<CompiledGraph> compiled_;
  Tensor arena_, state_, pixels_;
  std::vector<uint8_t> host_pixels_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Sgd> sgd_;
};

}  // namespace ft::app
