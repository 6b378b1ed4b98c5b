// The training loop's step.
#include "apps/ftrun/trainer.h"

#include <fmt/format.h>

#include <algorithm>
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
  const int64_t most = options_.micro_batch;
  if (options_.micro_batch < std::min(options_.batch, samples))
    sums_ = Tensor(network.parameters->gradients().spec(), backend.allocator());
  loss_.resize(static_cast<size_t>(most));
  seed_.resize(static_cast<size_t>(most));
  logits_.resize(static_cast<size_t>(most * network.model.classes));
}

void Trainer::compile_size(int64_t n) {
  if (sizes_.contains(n)) return;
  CompileOptions compile;
  compile.batch = n;
  compile.mode = Mode::training;
  compile.numerics = options_.numerics;
  compile.bn = options_.bn;
  compile.keep = {network_.model.logits};
  feed_.set_start(compile);
  sizes_[n].graph = std::make_unique<CompiledGraph>(network_.model.graph, backend_, compile);
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

void Trainer::upload_state(int64_t first, StreamRef s) {
  host_state_ = {options_.seed, static_cast<uint64_t>(state_.step), static_cast<uint64_t>(first),
                 options_.schedule.rate(state_.epoch)};
  backend_.upload(s, &host_state_, device_state_);
}

StepReport Trainer::step(const Rows& rows, StreamRef s,
                         const std::function<std::string(uint32_t)>& names) {
  const Batch& batch = rows.batch;
  StepReport report;
  report.images = batch.size();
  report.rate = options_.schedule.rate(state_.epoch);
  const bool split = batch.size() > options_.micro_batch;
  if (split) backend_.fill_zero(s, sums_);
  for (int64_t first = 0; first < batch.size(); first += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, batch.size() - first);
    micro_step(rows, first, n, s, report);
    if (!std::isfinite(report.loss_sum)) report_not_finite(rows, first, n, s, names);
    if (split) backend_.add(s, sums_, network_.parameters->gradients(), sums_);
  }
  const Tensor& gradients = split ? sums_ : network_.parameters->gradients();
  if (clip_.apply(gradients, s)) ++state_.clipped;
  sgd_.step(s, gradients, device_state_);
  ++state_.step;
  ++state_.batch_in_epoch;
  return report;
}

// Gradient of the step's mean loss with respect to the loss of each image: its share of the batch.
void Trainer::fill_seed(const Batch& batch, int64_t first, int64_t n) {
  const auto weight = [&](size_t i) {
    return options_.class_weights.empty()
               ? 1.0
               : options_.class_weights[static_cast<size_t>(batch.labels[i])];
  };
  double all = 0;
  for (size_t i = 0; i < static_cast<size_t>(batch.size()); ++i) all += weight(i);
  for (size_t i = 0; i < static_cast<size_t>(n); ++i)
    seed_[i] = all > 0 ? static_cast<float>(weight(static_cast<size_t>(first) + i) / all) : 0.0f;
}

// The feed comes first: the front of the network runs in the same memory.
Executor& Trainer::fill_inputs(const Rows& rows, int64_t first, int64_t n, StreamRef s) {
  Executor& executor = *sizes_.at(n).executor;
  upload_state(first, s);
  feed_.load(rows, first, n, executor, s);
  backend_.upload(s, rows.batch.labels.data() + first, executor.value(network_.model.labels));
  fill_seed(rows.batch, first, n);
  backend_.upload(s, seed_.data(), executor.gradient(network_.model.loss));
  return executor;
}

void Trainer::micro_step(const Rows& rows, int64_t first, int64_t n, StreamRef s,
                         StepReport& report) {
  const Batch& batch = rows.batch;
  Executor& executor = fill_inputs(rows, first, n, s);
  executor.forward(s);
  backend_.download(s, executor.value(network_.model.loss), loss_.data());
  backend_.download(s, executor.value(network_.model.logits), logits_.data());
  backend_.synchronize(s);
  const auto classes = network_.model.classes;
  for (int64_t i = 0; i < n; ++i) {
    const auto row =
        std::span(logits_).subspan(static_cast<size_t>(i * classes), static_cast<size_t>(classes));
    report.loss_sum += loss_[static_cast<size_t>(i)];
    report.correct +=
        std::ranges::max_element(row) - row.begin() == batch.labels[static_cast<size_t>(first + i)];
  }
  if (std::isfinite(report.loss_sum)) executor.backward(s);
}

void Trainer::observe(const Rows& rows, PopulationStatistics& statistics, StreamRef s) {
  for (int64_t first = 0; first < rows.batch.size(); first += options_.micro_batch) {
    const int64_t n = std::min(options_.micro_batch, rows.batch.size() - first);
    Executor& executor = fill_inputs(rows, first, n, s);
    statistics.before(s);
    executor.forward(s);
    statistics.after(executor.compiled(), s);
  }
}

void Trainer::report_not_finite(const Rows& rows, int64_t first, int64_t n, StreamRef s,
                                const std::function<std::string(uint32_t)>& names) {
  const Batch& batch = rows.batch;
  Executor& executor = fill_inputs(rows, first, n, s);  // their memory holds something else by now
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
          state_.step + 1, state_.epoch + 1, files),
      "use a smaller --lr; nothing was updated by this step");
}

void Trainer::end_epoch() {
  ++state_.epoch;
  state_.batch_in_epoch = 0;
}

}  // namespace ft::app
