// What run.toml says.
#include "apps/ftrun/run_record.h"

#include <fmt/format.h>

#include "io/image_turbo.h"

namespace ft::app {
namespace {

std::vector<std::string> factor_texts(const FactorList& list) {
  std::vector<std::string> out;
  for (const auto& [pattern, f] : list)
    out.push_back(fmt::format("{}={},{}", pattern, f.first, f.second));
  return out;
}

void record_options(RunConfig& c, const FinetuneOptions& o, const Settings& s) {
  const auto set = [&](const char* key, ConfigValue value) {
    c.set("options", key, std::move(value));
  };
  for (const auto& [key, value] : {std::pair{"weights", o.weights},
                                   {"data", o.data.data},
                                   {"train", o.data.train},
                                   {"val", o.data.val},
                                   {"test", o.data.test},
                                   {"protocol", o.protocol},
                                   {"freeze", o.freeze},
                                   {"unfreeze", o.unfreeze},
                                   {"bn", o.bn},
                                   {"bn-final", s.bn_final}})
    if (!value.empty()) set(key, value);
  set("model", o.model);
  set("epochs", s.epochs);
  set("batch", s.batch);
  set("micro-batch", s.micro_batch);
  set("lr", s.lr);
  set("momentum", o.momentum);
  set("l2", o.l2);
  set("rule", o.rule);
  set("schedule", o.schedule);
  if (o.schedule == "step") {
    set("drop-factor", o.drop_factor);
    set("drop-period", o.drop_period);
  }
  if (!o.weights.empty()) set("head-lr-factor", o.head_lr_factor);
  if (!o.lr_factors.empty()) set("lr-factor", factor_texts(o.lr_factors));
  if (!o.decay_factors.empty()) set("decay-factor", factor_texts(o.decay_factors));
  set("val-every", s.val_every == 0 ? std::string("epoch") : std::to_string(s.val_every));
  set("val-subset", o.val_subset);
  set("patience", o.patience);
  set("device-timeout", o.device_timeout);
  set("clip", o.clip);
  set("class-weights", o.class_weights);
  if (o.no_self_test) set("no-self-test", true);
  set("shuffle", o.shuffle);
  set("drop-last", o.drop_last);
  set("flip", o.flip);
  set("random-crop", o.random_crop);
  set("feature-cache", o.feature_cache);
  if (o.feature_cache_bytes)
    set("feature-cache-bytes", static_cast<int64_t>(*o.feature_cache_bytes));
  if (o.input_size) set("input-size", int64_t{*o.input_size});
  if (!o.resize.empty()) set("resize", o.resize);
  if (!o.mean.empty()) set("mean", o.mean);
  set("seed", static_cast<int64_t>(o.common.seed));
  set("device", o.common.device);
  set("precision", o.common.precision);
  set("plans", o.common.plans);
  set("fast", o.common.fast);
  set("workspace-limit", o.common.workspace_mib);
  set("threads", int64_t{o.common.threads});
  set("workers", int64_t{o.data.workers});
  set("bad-images", o.data.bad_images);
  set("max-bad", o.data.max_bad);
  set("allow-missing-classes", o.data.allow_missing_classes);
  set("allow-outside-links", o.data.allow_outside_links);
  set("allow-overlap", o.data.allow_overlap);
  set("print", o.print);
}

void record_recipe(RunConfig& c, const InputRecipe& r) {
  c.set("recipe", "height", int64_t{r.height});
  c.set("recipe", "width", int64_t{r.width});
  c.set("recipe", "resize", std::string(name_of(r.resize)));
  if (r.resize == ResizeMode::crop) c.set("recipe", "short-side", int64_t{r.short_side});
  c.set("recipe", "colour-order", std::string(r.colour_order == ColourOrder::bgr ? "bgr" : "rgb"));
  c.set("recipe", "scale", r.scale);
  c.set("recipe", "mean", std::vector<double>(r.mean.begin(), r.mean.end()));
  c.set("recipe", "deviation", std::vector<double>(r.std.begin(), r.std.end()));
}

}  // namespace

RunConfig record_run(const FinetuneOptions& options, const Settings& settings,
                     const Network& network, const Backend& backend, const RunOutcome& outcome) {
  RunConfig c;
  record_options(c, options, settings);
  record_recipe(c, network.recipe);
  c.set("network", "classes", network.classes);
  c.set("versions", "ftrun", std::string(FT_VERSION));
  c.set("versions", "device", backend.describe());
  c.set("versions", "jpeg", *turbo_version() != '\0' ? std::string(turbo_version()) : "stb_image");
  c.set("result", "finished", outcome.finished);
  if (!outcome.error.empty()) c.set("result", "error", outcome.error);
  c.set("result", "steps", outcome.steps);
  if (outcome.best_step) {
    c.set("result", "best-step", *outcome.best_step);
    c.set("result", "best-val-accuracy", outcome.best_accuracy);
    c.set("result", "best-val-loss", outcome.best_loss);
  }
  c.set("result", "seconds", outcome.seconds);
  c.set("result", "train-seconds", outcome.train_s);
  c.set("result", "validate-seconds", outcome.validate_s);
  c.set("result", "train-images-per-s", outcome.images_per_s);
  if (!outcome.slower_side.empty()) c.set("result", "slower-side", outcome.slower_side);
  return c;
}

}  // namespace ft::app
