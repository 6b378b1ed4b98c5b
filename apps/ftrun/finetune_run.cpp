// Fine-tuning: training, validation, choosing the best, and what is written at the end.
#include "apps/ftrun/finetune_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/results.h"
#include "apps/ftrun/run_record.h"
#include "apps/ftrun/self_test.h"
#include "apps/ftrun/stop_request.h"
#include "io/atomic_file.h"

namespace ft::app {

LoaderOptions FinetuneRun::loader_options() const {
  LoaderOptions l;
  l.batch = settings_.batch;
  l.height = network_.recipe.height;
  l.width = network_.recipe.width;
  l.seed = options_.common.seed;
  l.shuffle = options_.shuffle == "once"    ? Shuffle::once
              : options_.shuffle == "never" ? Shuffle::never
                                            : Shuffle::every_epoch;
  l.drop_last = options_.drop_last;
  l.workers = options_.data.workers;
  l.flip = options_.flip;  // behind the cache, which holds pictures as decoded
  return l;
}

void FinetuneRun::train() {
  const int64_t images = static_cast<int64_t>(split("train").samples.size()) - plan_.dropped;
  Progress progress("training", settings_.epochs * images);
  train_epochs(0, features_.train == nullptr ? settings_.epochs : 1, false, progress);
  if (features_.train != nullptr && settings_.epochs > 1 && !out_of_patience()) {
    complete_store(*features_.train, split("train").samples, decode_, loader_options(), *feed_,
                   stream_->ref());
    train_stored_ = true;
    progress.change_pace(images_trained_);
    train_epochs(1, settings_.epochs, true, progress);
  }
  if (!out_of_patience()) return;
  fmt::print("ended by --patience at step {}: {} without a better one\n", trainer_->state().step,
             counted(not_better_, "validation"));
  const bool early = trainer_->state().step < settings_.epochs * plan_.batches;
  if (early && settle_statistics()) {
    last_saved_ = -1;  // the same step, another network
    validate();
  }
}

// stored: from features that are all there; nothing is decoded. Else from images.
void FinetuneRun::train_epochs(int64_t first, int64_t end, bool stored, Progress& progress) {
  const std::vector<Sample>& samples = split("train").samples;
  LoaderOptions l = loader_options();
  l.cache_bytes = static_cast<int64_t>(pixels_kept_);
  if (stored) l = feature_rows(l, *features_.train);
  keep_batches(l);
  Loader loader(samples, stored ? read_features(*features_.train) : decode_, l);
  loader.start(static_cast<uint64_t>(first), 0, static_cast<uint64_t>(end));
  for (int64_t epoch = first; epoch < end && !out_of_patience(); ++epoch)
    train_epoch(epoch, loader, stored, progress);
  progress.finish();
  if (!stored) loader_stats_ = loader.stats();
}

// Batches that are on their way stay as they are; they lie where a device fetches them by itself.
void FinetuneRun::keep_batches(LoaderOptions& l) {
  l.hold = static_cast<int>(steps_ahead()) + 1;
  if (l.hold == 1) return;
  batches_ = Tensor({{static_cast<int64_t>(Loader::memory_bytes(l))}, DType::u8, Layout::plain},
                    backend_.backend->host_allocator());
  l.memory = {batches_.as<uint8_t>(), batches_.bytes()};
}

// Queued before their reports are read: a GPU then always has the next step.
int64_t FinetuneRun::steps_ahead() const {
  return backend_.backend->device().kind == Device::Kind::cuda ? 2 : 0;
}

void FinetuneRun::train_epoch(int64_t epoch, Loader& loader, bool stored, Progress& progress) {
  const std::vector<Sample>& samples = split("train").samples;
  const auto name = [&](uint32_t i) { return samples[i].path; };
  const int64_t first_step = trainer_->state().step;
  EpochSums sums;
  for (int64_t b = 0; b < plan_.batches; ++b) {
    const bool last = b + 1 == plan_.batches, last_of_run = last && epoch + 1 == settings_.epochs;
    const bool validates =
        settings_.val_every > 0 && validation_due(trainer_->state().step + 1, last_of_run);
    const double before = seconds();
    const Batch* batch = loader.next();
    FT_CHECK(batch != nullptr, "the loader ended before its epoch");
    const auto step = fmt::format("step {}", steps_reported_ + 1);
    take(watched(step,
                 [&] {
                   return trainer_->step({*batch, stored, features_.train.get()}, stream_->ref(),
                                         name);
                 }),
         sums);
    // Where others look at the network or at the sums, no step may be on its way. The signal is asked for once: one that
    // comes behind this line ends the next step.
    const bool stops = stop_signal() != 0;
    if (last || validates || stops)
      while (const std::optional<StepReport> report =
                 watched(fmt::format("step {}", steps_reported_ + 1),
                         [&] { return trainer_->finish(stream_->ref(), name); }))
        take(report, sums);
    const double took = seconds() - before;
    sums.seconds += took;
    train_s_ += took;
    show(epoch, sums, progress);
    if (last_of_run) settle_statistics();
    if (validates) validate();
    if (stops) {
      log_training(epoch, sums.report, sums.seconds);
      throw Stopped{};
    }
    if (out_of_patience()) break;
  }
  trainer_->end_epoch();
  epochs_.emplace_back(trainer_->state().step, sums.report);
  log_training(epoch, sums.report, sums.seconds);
  progress.finish();
  if (settings_.val_every == 0) validate();
  print_epoch(epoch, first_step, sums.report, sums.seconds);
}

void FinetuneRun::take(const std::optional<StepReport>& step, EpochSums& sums) {
  if (!step) return;
  ++steps_reported_;
  sums.report.images += step->images;
  sums.report.correct += step->correct;
  sums.report.loss_sum += step->loss_sum;
  sums.report.rate = step->rate;
  images_trained_ += step->images;
}

void FinetuneRun::show(int64_t epoch, const EpochSums& sums, Progress& progress) const {
  const StepReport& r = sums.report;
  if (r.images == 0) return;
  const double n = static_cast<double>(r.images);
  const std::string loss = loss_text(r.loss_sum / n), pace = rate_text(n / sums.seconds);
  const double percent = 100.0 * static_cast<double>(r.correct) / n;
  progress.update(images_trained_,
                  fmt::format("epoch {}, loss {}, accuracy {:.1f} %, rate {:g}, {} images/s",
                              epoch + 1, loss, percent, r.rate, pace),
                  fmt::format("loss {}, acc {:.0f} %, lr {:g}, {}/s", loss, percent, r.rate, pace));
}

// Behind the last step: --bn-final population. Every training image once, in order, as validation sees it.
bool FinetuneRun::settle_statistics() {
  if (settings_.bn_final != "population") return false;
  PopulationStatistics statistics = trainer_->make_statistics();
  if (statistics.empty()) return false;
  const std::vector<Sample>& samples = split("train").samples;
  const bool stored = features_.train != nullptr && train_stored_;
  LoaderOptions l = loader_options();
  l.shuffle = Shuffle::never;
  l.flip = false;
  if (stored) l = feature_rows(l, *features_.train);
  Loader loader(samples,
                stored ? read_features(*features_.train) : make_decode(network_.recipe, false, 0),
                l);
  loader.start(0);
  Progress progress("statistics of batch-norms", static_cast<int64_t>(samples.size()));
  int64_t done = 0;
  while (const Batch* batch = loader.next()) {
    stop_if_asked();
    watched("the pass for statistics",
            [&] { trainer_->observe({*batch, stored, nullptr}, statistics, stream_->ref()); });
    progress.update(done += batch->size());
  }
  progress.finish();
  statistics.write(stream_->ref());
  return true;
}

void FinetuneRun::log_training(int64_t epoch, const StepReport& sum, double epoch_s) {
  const double n = static_cast<double>(sum.images);
  log_.add({epoch + 1, trainer_->state().step, "train", sum.loss_sum / n,
            static_cast<double>(sum.correct) / n, sum.rate, n / epoch_s, seconds()});
}

// first_step: updates before the epoch.
void FinetuneRun::print_epoch(int64_t epoch, int64_t first_step, const StepReport& sum,
                              double epoch_s) const {
  const double n = static_cast<double>(sum.images);
  std::string val = "not validated";
  if (!validations_.empty() && validations_.back().step > first_step) {
    const Validation& v = validations_.back();
    val = fmt::format("val loss {} accuracy {:5.1f} %{}{}", loss_text(v.loss), 100 * v.accuracy,
                      v.step == trainer_->state().step ? "" : fmt::format(" at step {}", v.step),
                      best_ && best_->step > first_step ? " *" : "  ");
  }
  fmt::print("epoch {:>3}/{}  train loss {} accuracy {:5.1f} %   {}   {} images/s\n", epoch + 1,
             settings_.epochs, loss_text(sum.loss_sum / n),
             100.0 * static_cast<double>(sum.correct) / n, val, rate_text(n / epoch_s));
  std::fflush(stdout);
}

void FinetuneRun::stop_if_asked() const {
  if (stop_signal() != 0) throw Stopped{};
}

// MATLAB's rule: at iteration 1, at multiples of N, and at the last iteration.
bool FinetuneRun::validation_due(int64_t step, bool last) const {
  return step == 1 || step % settings_.val_every == 0 || last;
}

std::vector<ImageResult> FinetuneRun::evaluate(const Split& s, const char* name,
                                               FeatureStore* store) {
  Progress progress(name, static_cast<int64_t>(s.samples.size()));
  const Decode plain = make_decode(network_.recipe, false, 0);
  const auto what = [&](int64_t done) {
    return fmt::format("the evaluation of {}, behind image {}", name, done);
  };
  return watched(what(0), [&] {
    return evaluator_->run(
        s.samples, plain, options_.data.workers, stream_->ref(),
        [&](int64_t done) {
          progress.update(done);
          stop_if_asked();
          if (watch_) watch_->expect(what(done));
        },
        store);
  });
}

void FinetuneRun::validate() {
  const double before = seconds();
  const std::vector<ImageResult> results =
      evaluate(validation_split(), "validation", features_.val.get());
  double loss = 0, correct = 0;
  for (const ImageResult& r : results) {
    loss += r.loss;
    correct += r.predicted == r.label;
  }
  const double n = static_cast<double>(results.size());
  validations_.push_back({trainer_->state().step, loss / n, correct / n});
  const double took = seconds() - before;
  validate_s_ += took;
  const int64_t epoch = (trainer_->state().step + plan_.batches - 1) / plan_.batches;
  log_.add({epoch, trainer_->state().step, "val", loss / n, correct / n, {}, n / took, seconds()});
  const Validation& now = validations_.back();
  // Logits that are no numbers have a class with the largest one, too, and perhaps the right one.
  const bool better =
      std::isfinite(now.loss) && (!best_ || now.accuracy > best_->accuracy ||
                                  (now.accuracy == best_->accuracy && now.loss < best_->loss));
  if (better) {
    best_ = now;
    not_better_ = 0;
    take_best();
  } else {
    ++not_better_;
  }
  save_progress();
}

// A copy in memory of what a step may change; save_best() writes it with all the rest.
void FinetuneRun::take_best() {
  const std::vector<Parameter>& parameters = network_.model.graph.parameters();
  best_values_.clear();
  for (size_t i = 0; i < parameters.size(); ++i)
    if (parameters[i].trainable || parameters[i].is_statistic())
      best_values_.emplace_back(i, network_.parameters->get(static_cast<int>(i), stream_->ref()));
}

void FinetuneRun::save_best() {
  if (!best_ || best_saved_ == best_->step) return;
  WeightFile best = weight_file_of(network_, stream_->ref());
  for (const auto& [parameter, values] : best_values_)
    best.tensors[static_cast<size_t>(parameter)].data = values;
  best.notes["validation_accuracy"] = fmt::format("{:.6f}", best_->accuracy);
  best.notes["step"] = fmt::format("{}", best_->step);
  save("best.h5", best, false);
  best_saved_ = best_->step;
}

void FinetuneRun::save(const char* name, WeightFile& weights, bool same_as_network) {
  const double before = seconds();
  Backend& backend = *backend_.backend;
  const std::string why = same_as_network
                              ? add_golden(weights, *network_.parameters, backend, stream_->ref())
                              : add_golden(weights, backend, stream_->ref());
  if (!why.empty()) fmt::print(stderr, "ftrun: note: {} has no self-test: {}\n", name, why);
  save_weights(*folder_ / name, weights);
  save_s_ += seconds() - before;
}

void FinetuneRun::save_last() {
  const int64_t step = trainer_->state().step;
  if (last_saved_ == step) return;
  WeightFile last =
      watched("the copy of the network", [&] { return weight_file_of(network_, stream_->ref()); });
  last.notes["step"] = fmt::format("{}", step);
  save("last.h5", last, true);
  last_saved_ = step;
}

// The metrics so far and run.toml.
void FinetuneRun::write_record(const RunOutcome& outcome) const {
  ResultWriter writer(&*folder_, network_.classes);
  writer.write_metrics(log_);
  writer.write_run(record_run(options_, settings_, network_, *backend_.backend, outcome));
}

// What a run that is killed leaves behind.
void FinetuneRun::save_progress() {
  tables_share_.offer(seconds(), [&] { write_record(outcome(false)); });
  weights_share_.offer(seconds(), [&] {
    save_best();
    if (std::isfinite(validations_.back().loss)) save_last();
  });
}

int FinetuneRun::finish_stopped() {
  save_best();
  save_last();
  write_record(outcome(false));
  fmt::print(
      stderr,
      "ftrun: stopped by {} after step {} of {}; {} holds {}last.h5, the metrics and run.toml\n",
      signal_name(stop_signal()), trainer_->state().step, settings_.epochs * plan_.batches,
      escape(folder_->path().string()), best_ ? "best.h5, " : "");
  return static_cast<int>(ExitStatus::stopped);
}

// What a run leaves that an error ends: the report so far, the error in it, and the best network.
void FinetuneRun::record_failure(const Error& error) {
  RunOutcome failed = outcome(false);
  failed.error = error.line();
  log_.add_failure(failed.steps, failed.seconds, error);
  try {
    write_record(failed);
    if (error.status() == ExitStatus::device) return;  // what the device holds is lost
    backend_.backend->synchronize(stream_->ref());     // steps on their way still read batches_
    save_best();
  } catch (const Error& second) {  // it does not hide the first
    fmt::print(stderr, "ftrun: note: {} does not hold all of the run: {}\n",
               escape(folder_->path().string()), second.what());
  }
}

// A device that has failed is not called again, not even to free what lies on it.
void FinetuneRun::end_without_device(const Error& error) const {
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", error.line());
  std::_Exit(static_cast<int>(error.status()));
}

RunOutcome FinetuneRun::outcome(bool finished) const {
  RunOutcome o;
  o.finished = finished;
  o.seconds = seconds();
  o.train_s = train_s_;
  o.validate_s = validate_s_;
  o.images_per_s = train_s_ > 0 ? static_cast<double>(images_trained_) / train_s_ : 0;
  o.steps = trainer_->state().step;
  if (best_) {
    o.best_step = best_->step;
    o.best_accuracy = best_->accuracy;
    o.best_loss = best_->loss;
  }
  if (finished) o.slower_side = loader_stats_.slower_side();
  return o;
}

void FinetuneRun::print_times(double evaluate_s) const {
  const double total = seconds();
  fmt::print(
      "time        {} in all: before step 1 {}, training {} ({:.1f} images/s), validation {}, "
      "final evaluation {}, weight files {}, pictures and the rest {}; the {} was the slower "
      "side\n",
      duration_text(total), duration_text(before_s_), duration_text(train_s_),
      static_cast<double>(images_trained_) / train_s_, duration_text(validate_s_),
      duration_text(evaluate_s), duration_text(save_s_),
      duration_text(total - before_s_ - train_s_ - validate_s_ - evaluate_s - save_s_),
      loader_stats_.slower_side());
}

// A loss that is finite may be nonsense all the same.
void FinetuneRun::note_far_loss() const {
  const double guessing = std::log(static_cast<double>(network_.classes.size()));
  if (best_->loss > 100 * guessing)
    fmt::print(
        "note        its loss of {} is far above that of guessing, {}: it is sure of wrong "
        "answers; try "
        "a smaller --lr\n",
        loss_text(best_->loss), loss_text(guessing));
}

void FinetuneRun::write_results() {
  if (!best_)
    throw Error(6003, "validation",
                "its loss was not finite at any time, so that no network is the best",
                "use a smaller --lr");
  save_last();
  save_best();
  for (const auto& [parameter, values] : best_values_)
    network_.parameters->set(parameter, values, stream_->ref());

  fmt::print("\nbest validation accuracy {:.2f} % (step {}{}); everything below is that network\n",
             100 * best_->accuracy, best_->step,
             val_subset_ ? ", " + counted(options_.val_subset, "image") : "");
  note_far_loss();
  if (trainer_->state().clipped > 0)
    fmt::print("clipped     {} of {}\n", trainer_->state().clipped,
               counted(trainer_->state().step, "step"));
  ResultWriter writer(&*folder_, network_.classes);
  const double before_evaluation = seconds();
  for (const char* name : {"val", "test"}) {
    const Split* s = data_.data.find(name);
    if (s == nullptr || s->samples.empty()) continue;
    writer.add_split(*s,
                     evaluate(*s, name, s == &validation_split() ? features_.val.get() : nullptr));
  }
  const double evaluate_s = seconds() - before_evaluation;
  CurveData curves;
  const double per_epoch = static_cast<double>(plan_.batches);
  for (const auto& [step, sum] : epochs_)
    curves.train.push_back({static_cast<double>(step) / per_epoch,
                            sum.loss_sum / static_cast<double>(sum.images),
                            static_cast<double>(sum.correct) / static_cast<double>(sum.images)});
  for (const Validation& v : validations_)
    curves.val.push_back({static_cast<double>(v.step) / per_epoch, v.loss, v.accuracy});
  if (!data_.skipped.empty()) writer.write_skipped(data_.skipped);
  writer.write_tables(log_);
  writer.write_curves(curves);
  writer.print_and_write_confusion(options_.print);
  writer.write_pictures(options_.print, data_.data, network_, *backend_.backend,
                        numerics_of(options_.common, *backend_.backend), options_.common.seed,
                        stream_->ref());
  print_times(evaluate_s);
  writer.write_run(record_run(options_, settings_, network_, *backend_.backend, outcome(true)));
  writer.list_files();
}

int run_finetune(const FinetuneOptions& options) { return FinetuneRun(options).run(); }

}  // namespace ft::app
