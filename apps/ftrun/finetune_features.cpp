// Fine-tuning: storing what the frozen front of the network makes of every image, and what that is worth.
#include <fmt/format.h>

#include <algorithm>

#include "apps/ftrun/finetune_run.h"
#include "io/available.h"

namespace ft::app {
namespace {

// Why the features of a training image are of no use in a later epoch; "" if they are.
std::string why_train_differs(const FinetuneOptions& options, const Settings& settings) {
  if (options.random_crop) return "--random-crop cuts training images out anew in each epoch";
  if (options.flip) return "--flip mirrors training images at random";
  if (settings.epochs == 1) return "a single epoch uses every training image once";
  return "";
}

}  // namespace

// Everything is allocated by now, so that what is available is available for features.
void FinetuneRun::open_features() {
  const auto batch = static_cast<double>(evaluator_->batch());
  watched("the first pass", [&] {
    front_s_ = feed_->measure(stream_->ref()) / batch;
    behind_s_ = evaluator_->measure(stream_->ref()) / batch;
  });
  const Prefix* front = feed_->front();
  if (front == nullptr) return;
  const std::string differs = why_train_differs(options_, settings_);
  FeatureNeeds& needs = feature_needs_;
  needs.mode = options_.feature_cache;
  needs.row_bytes = front->row_bytes();
  needs.train = split("train").samples.size();
  needs.val = validation_split().samples.size();
  needs.train_repeats = differs.empty();
  needs.memory = options_.feature_cache_bytes.value_or(
      static_cast<size_t>(kMemoryShare * static_cast<double>(available_memory())));
  const size_t disk = available_disk(folder_->path()).value_or(0), others = output_bytes();
  needs.disk =
      disk > others ? static_cast<size_t>(kDiskShare * static_cast<double>(disk - others)) : 0;
  needs.image_s = front_s_;
  features_ = open_feature_cache(needs, folder_->path());
}

void FinetuneRun::print_features() const {
  const Prefix* front = feed_->front();
  if (front == nullptr) {
    fmt::print("features    not kept: {}\n", cut_.reason);
    return;
  }
  const std::string& end = network_.model.graph.values()[static_cast<size_t>(front->cut())].name;
  const std::string differs = why_train_differs(options_, settings_);
  fmt::print("features    frozen up to {}, computed {} at a time; {}{}\n", end, front->batch(),
             options_.feature_cache == "off" ? "not kept: --feature-cache off"
                                             : describe(features_, feature_needs_),
             options_.feature_cache == "off" || differs.empty() ? "" : "; " + differs);
}

// Bytes of the decoded training images where they stay in memory from epoch to epoch, else 0.
size_t FinetuneRun::choose_pixels() const {
  const size_t pixels = split("train").samples.size() *
                        static_cast<size_t>(network_.recipe.height * network_.recipe.width * 3);
  const bool keeps =
      features_.train == nullptr && !options_.random_crop && pixels <= available_memory() / 4;
  return keeps ? pixels : 0;
}

int64_t FinetuneRun::validations() const {
  const int64_t steps = plan_.batches * settings_.epochs;
  return settings_.val_every == 0
             ? settings_.epochs
             : 1 + steps / settings_.val_every + (steps % settings_.val_every != 0);
}

RunForecast FinetuneRun::make_forecast() const {
  const auto images = [](const Split* s) {
    return s == nullptr ? 0.0 : static_cast<double>(s->samples.size());
  };
  ForecastInput in;
  in.train = images(&split("train")) - static_cast<double>(plan_.dropped);
  in.val = images(&validation_split());
  in.all_val = images(&split("val"));
  in.test = images(data_.data.find("test"));
  in.epochs = settings_.epochs;
  in.validations = validations();
  in.decode_s = decode_s_;
  in.front_s = front_s_;
  in.behind_s = behind_s_;
  in.step_ratio = trainer_->cost_ratio();
  in.train_stored = features_.train != nullptr;
  in.val_stored = features_.val != nullptr;
  in.pixels_kept = pixels_kept_ != 0;
  return forecast(in);
}

}  // namespace ft::app
