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
  // Steps that may be queued before the first of them is looked at, so that a device never waits for the host. 0 where
  // a backend computes when it is called.
  int64_t ahead = 0;
};

struct TrainerState {
  int64_t epoch = 0;  // completed epochs
  int64_t step = 0;   // completed steps of the whole run
  int64_t batch_in_epoch = 0;
  int64_t clipped = 0;  // steps whose gradients were clipped
};

// Files of a batch, by sample, for the message of an error.
using SampleName = std::function<std::string(uint32_t)>;

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

  // Queues one optimisation step on a batch, whose memory stays as it is until its report was given. Returns the
  // report of the oldest step once more than options.ahead are queued: with 0 that of this step. Throws Error 6001 if
  // the loss of that step is not finite; neither it nor a later one has changed a weight then (step state, word 4).
  std::optional<StepReport> step(const Rows& rows, StreamRef s, const SampleName& names);
  // The report of the oldest step that is still queued, as step() gives it; none if all were given.
  std::optional<StepReport> finish(StreamRef s, const SampleName& names);
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
  // Of a step with micro-batches of n images, which is compiled to find it.
  size_t arena_bytes(int64_t n) const;
  // Multiply-adds of a training step relative to those of its forward pass, from where the feed starts it.
  double cost_ratio() const;
  size_t optimizer_bytes() const { return sgd_.velocity().bytes() + sums_.bytes(); }

 private:
  // Work that runs as it stands the first time and is recorded by the backend the second time.
  struct Recorded {
    bool ran = false;
    std::function<void()> replay;
  };
  struct Compiled {
    std::unique_ptr<CompiledGraph> graph;
    std::unique_ptr<Executor> executor;
    Recorded with_update, without;
  };
  // What the host gives a step and gets from it, in memory that a device copies from and to by itself. Laid out for a
  // whole batch; of every micro-batch a state.
  struct Slot {
    Batch batch;
    bool features = false;
    FeatureStore* keep = nullptr;
    int64_t step = 0, epoch = 0;
    Tensor states, labels, seeds, losses, logits;
    std::unique_ptr<Event> done;
    Rows rows() const { return {batch, features, keep}; }
  };
  CompileOptions options_for(int64_t n) const;
  void compile_size(int64_t n);
  void make_slots(int64_t batch);
  Slot& next_slot(const Rows& rows);
  void fill_slot(Slot& slot);
  // Everything that a pass over these rows of the slot's batch reads.
  Executor& queue_inputs(Slot& slot, int64_t first, int64_t n, StreamRef s);
  void queue_pass(Slot& slot, int64_t first, int64_t n, bool update, StreamRef s);
  StepReport judge(Slot& slot, StreamRef s, const SampleName& names);
  StepReport collect(StreamRef s, const SampleName& names);
  [[noreturn]] void report_not_finite(Slot& slot, int64_t first, int64_t n, StreamRef s,
                                      const SampleName& names);

  Network& network_;
  Backend& backend_;
  Feed& feed_;
  TrainerOptions options_;
  TrainerState state_;
  Sgd sgd_;
  GradientClip clip_;
  std::map<int64_t, Compiled> sizes_;
  Tensor sums_, device_state_;
  std::vector<Slot> slots_;  // a ring; of it [oldest_, oldest_ + queued_) are in use
  size_t oldest_ = 0, queued_ = 0;
};

}  // namespace ft::app
