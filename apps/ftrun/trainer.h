// The training loop: batches in the loader's order, micro-batches with summed gradients, one update a step.
// All that changes during a run is in TrainerState and in the flat buffers of parameters and optimizer, so
// that a checkpoint has one place to take it from. Everything is compiled before step 1; a step allocates
// no device memory. Used by one thread.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "apps/ftrun/clip.h"
#include "apps/ftrun/feed.h"
#include "apps/ftrun/population.h"
#include "layers/executor.h"
#include "optim/schedule.h"
#include "optim/sgd.h"

namespace ft::app {

struct TrainerOptions {
  int64_t batch = 32, micro_batch = 32;
  bool drop_last = false;
  uint64_t seed = 0;
  SgdOptions sgd;
  Schedule schedule;
  NumericsPolicy numerics;
  std::optional<BnMode> bn;
  ClipSpec clip;
  // A weight a class, or none. The gradient of a step is then the weighted mean over its images, sum of w * dloss over
  // sum of w (as PyTorch); what is reported stays the plain mean.
  std::vector<double> class_weights;
};

struct TrainerState {
  int64_t epoch = 0;  // completed epochs
  int64_t step = 0;   // completed steps of the whole run
  int64_t batch_in_epoch = 0;
  int64_t clipped = 0;  // steps whose gradients were clipped
};

// What one step saw, before its update.
struct StepReport {
  int64_t images = 0, correct = 0;
  double loss_sum = 0;  // over the images
  double rate = 0;      // base rate
};

class Trainer {
 public:
  // Compiles one step for every batch size that an epoch of `samples` images has. `feed` takes a micro-batch.
  Trainer(Network& network, Backend& backend, Feed& feed, const TrainerOptions& options,
          int64_t samples);
  void bind(const Tensor& arena, const Tensor& state);

  // One optimisation step on a batch. Throws Error 6001 (and changes nothing) if the loss is not finite; `names`
  // gives the files of the batch for the message.
  StepReport step(const Rows& rows, StreamRef s, const std::function<std::string(uint32_t)>& names);
  // Forward passes over the rows as in training, for the statistics of their batches; nothing else changes.
  void observe(const Rows& rows, PopulationStatistics& statistics, StreamRef s);
  // Statistics of all batch-norms that use those of the batch, none seen yet.
  PopulationStatistics make_statistics() const {
    return {*sizes_.begin()->second.graph, *network_.parameters};
  }
  // To be called after the last step of an epoch.
  void end_epoch();

  const TrainerState& state() const { return state_; }
  std::vector<const CompiledGraph*> compilations() const;
  // Multiply-adds of a training step relative to those of its forward pass, from where the feed starts it.
  double cost_ratio() const;
  size_t optimizer_bytes() const { return sgd_.velocity().bytes() + sums_.bytes(); }

 private:
  struct Compiled {
    std::unique_ptr<CompiledGraph> graph;
    std::unique_ptr<Executor> executor;
  };
  void compile_size(int64_t n);
  // Everything that a pass over these rows reads.
  Executor& fill_inputs(const Rows& rows, int64_t first, int64_t n, StreamRef s);
  void micro_step(const Rows& rows, int64_t first, int64_t n, StreamRef s, StepReport& report);
  [[noreturn]] void report_not_finite(const Rows& rows, int64_t first, int64_t n, StreamRef s,
                                      const std::function<std::string(uint32_t)>& names);
  void upload_state(int64_t first, StreamRef s);
  void fill_seed(const Batch& batch, int64_t first, int64_t n);

  Network& network_;
  Backend& backend_;
  Feed& feed_;
  TrainerOptions options_;
  TrainerState state_;
  Sgd sgd_;
  GradientClip clip_;
  std::map<int64_t, Compiled> sizes_;
  Tensor sums_, device_state_;
  StepState host_state_;
  std::vector<float> loss_, logits_, seed_;
};

}  // namespace ft::app
