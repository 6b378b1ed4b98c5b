// One fine-tuning run from its options to its files. All state of the run is in this object.
#pragma once

#include <chrono>

#include "apps/ftrun/device.h"
#include "apps/ftrun/device_watch.h"
#include "apps/ftrun/evaluator.h"
#include "apps/ftrun/feature_cache.h"
#include "apps/ftrun/forecast.h"
#include "apps/ftrun/options.h"
#include "apps/ftrun/preprocess.h"
#include "apps/ftrun/time_share.h"
#include "apps/ftrun/trainer.h"
#include "io/metrics.h"
#include "io/run_folder.h"
#include "io/run_tables.h"

namespace ft::app {

// A validation of the whole set.
struct Validation {
  int64_t step = 0;
  double loss = 0, accuracy = 0;
};

// The numbers that the options, the protocol and the defaults come to.
struct Settings {
  int64_t epochs = 0, batch = 0, micro_batch = 0;
  double lr = 0;
  int64_t val_every = 0;  // iterations; 0: at the end of each epoch
  bool squash = false, dataset_mean = false;
  std::string bn_final;  // running, population
};

Settings resolve(const FinetuneOptions& options, bool pretrained);

class FinetuneRun {
 public:
  explicit FinetuneRun(const FinetuneOptions& options);
  // Everything. Returns 0, or 75 if a signal ended it between two steps; throws ft::Error.
  int run();

 private:
  // finetune_setup.cpp: everything before step 1
  void open_device();
  void load_file();
  void find_images();
  void choose_validation();
  void build_network();
  void compile();
  // finetune_memory.cpp
  size_t arena_for(int64_t micro_batch) const;
  void check_memory(size_t arena_bytes) const;
  uint64_t weight_file_bytes() const;
  uint64_t output_bytes() const;
  void check_space() const;
  void print_header();
  void print_data() const;
  void print_parameters() const;
  void print_training() const;
  void print_forecast();
  // finetune_features.cpp: the frozen front of the network
  void open_features();
  void print_features() const;
  int64_t validations() const;
  RunForecast make_forecast() const;
  size_t choose_pixels() const;
  // finetune_run.cpp: training and what is written at the end
  void train();
  LoaderOptions loader_options() const;
  void train_epochs(int64_t first, int64_t end, bool stored, class Progress& progress);
  bool settle_statistics();  // true if statistics changed
  // Sums over the steps of an epoch whose reports are in.
  struct EpochSums {
    StepReport report;
    double seconds = 0;
  };
  void train_epoch(int64_t epoch, Loader& loader, bool stored, class Progress& progress);
  void take(const std::optional<StepReport>& step, EpochSums& sums);
  void show(int64_t epoch, const EpochSums& sums, class Progress& progress) const;
  void keep_batches(LoaderOptions& l);
  int64_t steps_ahead() const;
  bool validation_due(int64_t step, bool last) const;
  void validate();
  void print_epoch(int64_t epoch, int64_t first_step, const StepReport& sum, double epoch_s) const;
  void log_training(int64_t epoch, const StepReport& sum, double epoch_s);
  void stop_if_asked() const;
  void take_best();
  void save_best();
  void save_last();
  // Computes the answer to the golden picture from network_, or from the file's own numbers where these are others.
  void save(const char* name, WeightFile& weights, bool same_as_network);
  void write_record(const struct RunOutcome& outcome) const;
  void save_progress();
  int finish_stopped();
  void record_failure(const Error& error);
  [[noreturn]] void end_without_device(const Error& error) const;
  // Calls fn, which waits for the device.
  template <class Fn>
  auto watched(std::string what, const Fn& fn) const {
    struct Wait {
      DeviceWatch* watch;
      ~Wait() {
        if (watch != nullptr) watch->came();
      }
    } const wait{watch_.get()};
    if (watch_) watch_->expect(std::move(what));
    return fn();
  }
  struct RunOutcome outcome(bool finished) const;
  void print_times(double evaluate_s) const;
  void note_far_loss() const;
  void write_results();
  std::vector<ImageResult> evaluate(const Split& split, const char* what, FeatureStore* store);

  const Split& split(const char* name) const { return *data_.data.find(name); }
  // What validate() looks at: positions in it are not those of split("val") where --val-subset chose.
  const Split& validation_split() const { return val_subset_ ? *val_subset_ : split("val"); }
  bool out_of_patience() const { return options_.patience > 0 && not_better_ >= options_.patience; }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

  FinetuneOptions options_;
  Settings settings_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  OpenDevice backend_;
  std::unique_ptr<Stream> stream_;
  size_t device_free_ = 0;              // bytes, before anything was taken; 0: no limit
  std::unique_ptr<DeviceWatch> watch_;  // of a GPU alone: elsewhere the process itself computes
  std::optional<WeightFile> file_;
  Prescanned data_;
  std::optional<Split> val_subset_;
  std::optional<RunFolder> folder_;
  Network network_;
  LoadReport loaded_;
  std::string self_test_;  // what the header says of it
  Decode decode_;
  Cut cut_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Trainer> trainer_;
  std::unique_ptr<Evaluator> evaluator_;
  Tensor arena_, state_;
  Tensor
      batches_;  // of the loader, where steps are queued ahead; outlives all that fetches from it
  EpochPlan plan_;
  FeatureNeeds feature_needs_;
  FeatureCache features_;
  size_t pixels_kept_ = 0;  // bytes of decoded training images that stay in memory
  double decode_s_ = 0;     // seconds to read and decode an image, as the check of all images took
  double front_s_ = 0, behind_s_ = 0;  // seconds of an image forward, up to the cut and behind it
  // progress of the run
  MetricsLog log_;
  std::vector<Validation> validations_;
  std::vector<std::pair<int64_t, StepReport>> epochs_;  // step at the end, sums of the epoch
  std::optional<Validation> best_;
  bool train_stored_ = false;  // every training image has its features: from the second epoch on
  int64_t not_better_ = 0;     // validations since the best one
  std::vector<std::pair<int, std::vector<float>>> best_values_;  // what may move: parameter, values
  int64_t best_saved_ = -1, last_saved_ = -1;  // steps whose networks lie in best.h5 and last.h5
  TimeShare tables_share_{0.02}, weights_share_{0.05};
  LoaderStats loader_stats_;
  double before_s_ = 0, train_s_ = 0, validate_s_ = 0, save_s_ = 0;  // save: weight files
  int64_t images_trained_ = 0, steps_reported_ = 0;
};

}  // namespace ft::app
