// The training loop's step.
#include "apps/ftrun/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

namespace ft::app {
namespace {

bool all_finite(Backend& backend, const Tensor& t, StreamRef s) {
  const TensorSpec spec{t.shape(), DType::f32, Layout::plain};
  const Tensor plain(spec, backend.allocator());
  std::vector<float> values(static_cast<size_t>(spec.shape.elements()));
  backend.convert(s, t, plain);
  backend.download(s, plain, values.data());
  backend.synchronize(s);
  return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
}

// Stops at the first node whose output holds a NaN or an infinity, in the order of the walk.
class FiniteGuard : public Observer {
 public:
  const std::string& culprit() const { return culprit_; }

  void observe(When when, Work work, const CompiledNode& node, const Pass& pass) override {
    if (when != When::after || work != Work::forward || !culprit_.empty()) return;
    if (!all_finite(pass.backend, pass.y, pass.stream)) culprit_ = node.name;
  }

 private:
  std::string culprit_;
};

}  // namespace

Trainer::Trainer(Network& network, Backend& backend, Feed& feed, const TrainerOptions& options,
                 int64_t samples)
    : network_(network),
      backend_(backend),
      feed_(feed),
      options_(options),
      sgd_(*network.parameters, backend, options.sgd),
      clip_(options.clip, *network.parameters, backend) {
  options_.micro_batch = std::min({options_.micro_batch, options_.batch, samples});
  const EpochPlan plan = plan_epoch(samples, options_.batch, options_.drop_last);
  for (int64_t n : {std::min(options_.batch, samples), plan.last_size}) {
    if (n >= options_.micro_batch) compile_size(options_.micro_batch);
    if (n % options_.micro_batch != 0) compile_size(n % options_.micro_batch);
  }
  const int64_t batch = std::min(options_.batch, samples);
  if (options_.micro_batch < batch)
    sums_ = Tensor(network.parameters->gradients().spec(), backend.allocator());
  make_slots(batch);
}

void Trainer::make_slots(int64_t batch) {
  const int64_t micros = (batch + options_.micro_batch - 1) / options_.micro_batch;
  const auto host = [&](const Shape& shape, DType type) {
    return Tensor({shape, type, Layout::plain}, backend_.host_allocator());
  };
  slots_.resize(static_cast<size_t>(options_.ahead) + 1);
  for (Slot& slot : slots_) {
    slot.states = host({micros * kStepStateInputs}, DType::u64);
    slot.labels = host({batch}, DType::i32);
    slot.seeds = host({batch}, DType::f32);
    slot.losses = host({batch}, DType::f32);
    slot.logits = host({batch, network_.model.classes}, DType::f32);
    slot.done = backend_.make_event();
  }
}

CompileOptions Trainer::options_for(int64_t n) const {
  CompileOptions compile;
  compile.batch = n;
  compile.mode = Mode::training;
  compile.numerics = options_.numerics;
  compile.bn = options_.bn;
  compile.keep = {network_.model.logits};
  feed_.set_start(compile);
  return compile;
}

void Trainer::compile_size(int64_t n) {
  if (sizes_.contains(n)) return;
  sizes_[n].graph = std::make_unique<CompiledGraph>(network_.model.graph, backend_, options_for(n));
}

size_t Trainer::arena_bytes(int64_t n) const {
  return CompiledGraph(network_.model.graph, backend_, options_for(n)).arena_bytes();
}

void Trainer::bind(const Tensor& arena, const Tensor& state) {
  device_state_ = state;
  for (auto& [n, compiled] : sizes_)
    compiled.executor =
        std::make_unique<Executor>(*compiled.graph, *network_.parameters, backend_, arena, state);
}

std::vector<const CompiledGraph*> Trainer::compilations() const {
  std::vector<const CompiledGraph*> all;
  for (const auto& [n, compiled] : sizes_) all.push_back(compiled.graph.get());
  return all;
}

double Trainer::cost_ratio() const {
  const CompiledGraph& graph = *sizes_.rbegin()->second.graph;
  double forward = 0, step = 0;
  for (const CompiledNode& c : graph.nodes()) {
    const double flops = graph.flops(c);
    const bool makes_dx = c.runs_backward && c.flow[0] != GradientFlow::none;
    forward += flops;
    step += flops * (1 + (makes_dx ? 1 : 0) + (c.wants_dw ? 1 : 0));
  }
  return forward > 0 ? step / forward : 1;
}

// A free place in the ring, filled with what the host knows of the step.
Trainer::Slot& Trainer::next_slot(const Rows& rows) {
  FT_CHECK(queued_ < slots_.size(), "more steps are queued than reports were taken");
  Slot& slot = slots_[(oldest_ + queued_) % slots_.size()];
  slot.batch = rows.batch;
  slot.features = rows.features;
  slot.keep = rows.keep;
  slot.step = state_.step;
  slot.epoch = state_.epoch;
  fill_slot(slot);
  return slot;
}

// The seed of an image is the gradient of the step's mean loss with respect to its own: its share of the batch.
void Trainer::fill_slot(Slot& slot) {
  const std::span<const int32_t> labels = slot.batch.labels;
  std::ranges::copy(labels, slot.labels.as<int32_t>());
  const auto weight = [&](size_t i) {
    return options_.class_weights.empty() ? 1.0
                                          : options_.class_weights[static_cast<size_t>(labels[i])];
  };
  double all = 0;
  for (size_t i = 0; i < labels.size(); ++i) all += weight(i);
  for (size_t i = 0; i < labels.size(); ++i)
    slot.seeds.as<float>()[i] = all > 0 ? static_cast<float>(weight(i) / all) : 0.0f;
  const double rate = options_.schedule.rate(slot.epoch);
  uint64_t* words = slot.states.as<uint64_t>();
  for (int64_t first = 0; first < slot.batch.size(); first += options_.micro_batch) {
    *words++ = options_.seed;
    *words++ = static_cast<uint64_t>(slot.step);
    *words++ = static_cast<uint64_t>(first);
    *words++ = std::bit_cast<uint64_t>(rate);
  }
}

std::optional<StepReport> Trainer::step(const Rows& rows, StreamRef s, const SampleName& names) {
  Slot& slot = next_slot(rows);
  const int64_t size = slot.batch.size();
  const bool split = size > options_.micro_batch, clips = clip_.active();
  if (split) backend_.fill_zero(s, sums_);
  for (int64_t first = 0; first < size; first += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, size - first);
    queue_pass(slot, first, n, !split && !clips, s);
    if (split) backend_.add(s, sums_, network_.parameters->gradients(), sums_);
  }
  const Tensor& gradients = split ? sums_ : network_.parameters->gradients();
  if (clips) {  // looks at the gradients; a loss that is not finite is told before they are
    backend_.synchronize(s);
    judge(slot, s, names);
    if (clip_.apply(gradients, s)) ++state_.clipped;
  }
  if (split || clips) sgd_.step(s, gradients, device_state_);
  backend_.record(s, *slot.done);
  ++queued_;
  ++state_.step;
  ++state_.batch_in_epoch;
  if (queued_ < slots_.size()) return std::nullopt;
  return collect(s, names);
}

std::optional<StepReport> Trainer::finish(StreamRef s, const SampleName& names) {
  if (queued_ == 0) return std::nullopt;
  return collect(s, names);
}

StepReport Trainer::collect(StreamRef s, const SampleName& names) {
  Slot& slot = slots_[oldest_];
  backend_.await(*slot.done);
  oldest_ = (oldest_ + 1) % slots_.size();
  --queued_;
  return judge(slot, s, names);
}

// The feed comes first: the front of the network runs in the same memory.
Executor& Trainer::queue_inputs(Slot& slot, int64_t first, int64_t n, StreamRef s) {
  Executor& executor = *sizes_.at(n).executor;
  const uint64_t* state =
      slot.states.as<uint64_t>() + first / options_.micro_batch * kStepStateInputs;
  backend_.upload(s, state, device_state_.slice(0, {kStepStateInputs}));
  feed_.load(slot.rows(), first, n, executor, s);
  backend_.upload(s, slot.labels.as<int32_t>() + first, executor.value(network_.model.labels));
  backend_.upload(s, slot.seeds.as<float>() + first, executor.gradient(network_.model.loss));
  return executor;
}

// Forward and backward over one micro-batch, and the update where it is the whole batch. Losses and logits come back
// behind it; they are kept values, which no later part of the step overwrites.
void Trainer::queue_pass(Slot& slot, int64_t first, int64_t n, bool update, StreamRef s) {
  Executor& executor = queue_inputs(slot, first, n, s);
  const auto work = [this, &executor, update, s] {
    executor.forward(s);
    backend_.halt_unless_finite(s, executor.value(network_.model.loss), device_state_);
    executor.backward(s);
    if (update) sgd_.step(s, network_.parameters->gradients(), device_state_);
  };
  Compiled& compiled = sizes_.at(n);
  Recorded& recorded = update ? compiled.with_update : compiled.without;
  if (!recorded.ran) {
    work();
    recorded.ran = true;
  } else {
    if (!recorded.replay) recorded.replay = backend_.capture(s, work);
    recorded.replay();
    if (update) network_.parameters->values_changed();  // a replay does not come by here
  }
  backend_.download(s, executor.value(network_.model.loss), slot.losses.as<float>() + first);
  backend_.download(s, executor.value(network_.model.logits),
                    slot.logits.as<float>() + first * network_.model.classes);
}

StepReport Trainer::judge(Slot& slot, StreamRef s, const SampleName& names) {
  StepReport report;
  report.images = slot.batch.size();
  report.rate = options_.schedule.rate(slot.epoch);
  const auto classes = static_cast<size_t>(network_.model.classes);
  for (int64_t i = 0; i < report.images; ++i) {
    const float loss = slot.losses.as<float>()[i];
    if (!std::isfinite(loss)) {
      const int64_t first = i / options_.micro_batch * options_.micro_batch;
      report_not_finite(slot, first, std::min(options_.micro_batch, report.images - first), s,
                        names);
    }
    report.loss_sum += loss;
    const std::span row(slot.logits.as<float>() + static_cast<size_t>(i) * classes, classes);
    report.correct += std::ranges::max_element(row) - row.begin() == slot.labels.as<int32_t>()[i];
  }
  return report;
}

void Trainer::observe(const Rows& rows, PopulationStatistics& statistics, StreamRef s) {
  Slot& slot = next_slot(rows);
  for (int64_t first = 0; first < rows.batch.size(); first += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows.batch.size() - first);
    Executor& executor = queue_inputs(slot, first, n, s);
    statistics.before(s);
    executor.forward(s);
    statistics.after(executor.compiled(), s);
  }
  backend_.synchronize(s);
}

// What comes behind such a step changes no weight, so that the same pass can be walked again, node by node.
void Trainer::report_not_finite(Slot& slot, int64_t first, int64_t n, StreamRef s,
                                const SampleName& names) {
  const Batch& batch = slot.batch;
  state_.step = slot.step;  // completed ones
  Executor& executor = queue_inputs(slot, first, n, s);
  FiniteGuard guard;
  executor.add_observer(&guard);
  const ValueId start = feed_.start();
  std::string culprit;
  if (!all_finite(backend_, executor.value(start), s))
    culprit = network_.model.graph.values()[static_cast<size_t>(start)].name;
  executor.forward(s);
  if (culprit.empty()) culprit = guard.culprit();
  std::string files;
  for (int64_t i = first; i < std::min(first + n, first + 5); ++i)
    files += (files.empty() ? "" : ", ") + names(batch.samples[static_cast<size_t>(i)]);
  if (n > 5) files += fmt::format(" and {} more", n - 5);
  throw Error(
      6001, culprit.empty() ? "loss" : culprit,
      fmt::format(
          "the loss is not finite in step {}, in epoch {} (this node is the first that is not; "
          "images: {})",
          slot.step + 1, slot.epoch + 1, files),
      "use a smaller --lr; nothing was updated by this step");
}

void Trainer::end_epoch() {
  ++state_.epoch;
  state_.batch_in_epoch = 0;
}

}  // namespace ft::app
