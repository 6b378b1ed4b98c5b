// Fine-tuning: everything that happens, and is said, before step 1.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "apps/ftrun/class_weights.h"
#include "apps/ftrun/finetune_run.h"
#include "apps/ftrun/pictures.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/results.h"
#include "apps/ftrun/self_test.h"
#include "apps/ftrun/stop_request.h"
#include "models/transfer.h"

namespace ft::app {
namespace {

std::optional<BnMode> bn_override(const std::string& text) {
  if (text == "batch") return BnMode::batch;
  if (text == "running") return BnMode::running;
  if (text == "frozen") return BnMode::frozen;
  return std::nullopt;
}

}  // namespace

Settings resolve(const FinetuneOptions& o, bool pretrained) {
  const bool matlab = o.protocol == "matlab";
  Settings s;
  s.epochs = o.epochs.value_or(matlab ? 6 : pretrained ? 10 : 30);
  s.batch = o.batch.value_or(matlab ? 256 : 32);
  s.micro_batch = o.micro_batch.value_or(s.batch);
  s.lr = o.lr.value_or(matlab ? 1e-4 : 1e-3);
  const std::string every = o.val_every.empty() ? (matlab ? "3" : "epoch") : o.val_every;
  s.val_every = every == "epoch" ? 0 : std::stoll(every);
  s.squash = o.resize.empty() ? matlab : o.resize == "squash";
  s.dataset_mean = o.mean.empty() ? matlab : o.mean == "dataset";
  s.bn_final = !o.bn_final.empty() ? o.bn_final : matlab ? "population" : "running";
  return s;
}

FinetuneRun::FinetuneRun(const FinetuneOptions& options) : options_(options) {}

void FinetuneRun::open_device() {
  backend_ = app::open_device(options_.common);
  stream_ = backend_.backend->make_stream();
  device_free_ = backend_.backend->free_bytes();
  const Device device = backend_.backend->device();
  if (device.kind == Device::Kind::cuda && options_.device_timeout > 0)
    watch_ = std::make_unique<DeviceWatch>(device.str(), options_.device_timeout);
  fmt::print("device      {}: {}\n", backend_.backend->describe(), backend_.reason);
}

void FinetuneRun::load_file() {
  if (!options_.weights.empty()) {
    file_ = load_weights(options_.weights);
    if (options_.model.empty()) options_.model = file_->model;
    if (file_->model != options_.model)
      throw Error(2330, options_.weights,
                  fmt::format("the file holds {}, not {}", file_->model, options_.model),
                  "leave --model out, or give the file that belongs to it");
  }
  if (options_.model.empty())
    throw Error(2002, "--model", "neither a model nor weights are given",
                "say --model alexnet-tv (or another), or --weights FILE.h5");
  settings_ = resolve(options_, file_.has_value());
  find_model(options_.model);
}

void FinetuneRun::find_images() {
  const double before = seconds();
  data_ = find_data(options_.data, {}, options_.out);
  double images = 0;
  for (const Split& s : data_.data.splits) images += static_cast<double>(s.samples.size());
  decode_s_ = (seconds() - before) / images;
  choose_validation();
  folder_ = make_run_folder(options_.out, options_.force, input_folders(options_.data));
}

// The images of an intermediate validation: all, or some of them that depend on the seed alone.
void FinetuneRun::choose_validation() {
  const Split& all = split("val");
  if (options_.val_subset == 0 || options_.val_subset >= static_cast<int64_t>(all.samples.size()))
    return;
  val_subset_ = all;
  val_subset_->samples.clear();
  for (size_t i :
       choose(all.samples.size(), static_cast<size_t>(options_.val_subset), options_.common.seed))
    val_subset_->samples.push_back(all.samples[i]);
}

void FinetuneRun::build_network() {
  const ModelInfo& info = find_model(options_.model);
  const int side =
      options_.input_size.value_or(file_ ? file_->recipe.height : info.recipe.input_size);
  network_.classes = data_.data.classes;
  network_.model = build_model(info, static_cast<int64_t>(network_.classes.size()), side, side);
  network_.recipe = published_recipe(info, side, side);
  if (file_) {
    const InputRecipe published = network_.recipe;
    network_.recipe = file_->recipe;
    if (side != file_->recipe.height) {
      network_.recipe.height = network_.recipe.width = side;
      if (network_.recipe.resize == ResizeMode::crop)
        network_.recipe.short_side = published.short_side;
    }
  }
  // Published networks on 0-255 only subtract the mean; their first layer is made for that. He initialisation
  // wants inputs of unit variance: without weights the ImageNet deviation divides as well.
  if (!file_ && network_.recipe.scale == 1) network_.recipe.std = {57.375, 57.12, 58.395};
  if (settings_.squash) {
    network_.recipe.resize = ResizeMode::squash;
    network_.recipe.short_side = 0;
  } else if (options_.resize == "crop") {
    network_.recipe.resize = ResizeMode::crop;
    network_.recipe.short_side = published_recipe(info, side, side).short_side;
  } else if (options_.resize == "letterbox") {
    network_.recipe.resize = ResizeMode::letterbox;
    network_.recipe.short_side = 0;
  }
  if (options_.random_crop && network_.recipe.resize != ResizeMode::crop)
    throw Error(
        2005, "--random-crop",
        fmt::format("the recipe is {}, nothing is cut out", name_of(network_.recipe.resize)),
        "add --resize crop, or leave --random-crop out");
  if (settings_.dataset_mean) {
    InputRecipe whole = network_.recipe;  // a border would count as picture
    if (whole.resize == ResizeMode::letterbox) whole.resize = ResizeMode::squash;
    std::array<double, 3> mean = mean_of(split("train").samples, whole, options_.data.workers);
    if (network_.recipe.colour_order == ColourOrder::bgr) std::swap(mean[0], mean[2]);
    for (size_t c = 0; c < 3; ++c) network_.recipe.mean[c] = mean[c] * network_.recipe.scale;
  }
  TransferOptions transfer;
  transfer.pretrained = file_.has_value();
  transfer.freeze = options_.freeze;
  transfer.unfreeze = options_.unfreeze;
  transfer.head_lr_factor = options_.head_lr_factor;
  transfer.lr_factors = options_.lr_factors;
  transfer.decay_factors = options_.decay_factors;
  transfer.bn = bn_override(options_.bn);
  transfer.matlab_factors = options_.protocol == "matlab";
  apply_transfer(network_.model, transfer);
  network_.parameters = std::make_unique<ParameterSet>(network_.model.graph, *backend_.backend);
  const std::string head = network_.model.head + ".";
  watched("the copy of the parameters", [&] {
    network_.parameters->initialize(options_.common.seed, stream_->ref(), [&](const Parameter& p) {
      return !file_ || p.name.starts_with(head);
    });
    if (file_) loaded_ = load_parameters(network_, *file_, true, stream_->ref());
  });
  if (file_)
    self_test_ = options_.no_self_test
                     ? "off: --no-self-test"
                     : self_test(*file_, *network_.parameters, *backend_.backend, stream_->ref());
}

void FinetuneRun::compile() {
  TrainerOptions t;
  t.batch = settings_.batch;
  t.micro_batch = settings_.micro_batch;
  t.drop_last = options_.drop_last;
  t.seed = options_.common.seed;
  t.sgd = {options_.rule == "pytorch" ? SgdSpec::Rule::pytorch : SgdSpec::Rule::caffe,
           options_.momentum, options_.l2};
  t.schedule = {options_.schedule == "step" ? Schedule::Kind::step : Schedule::Kind::constant,
                settings_.lr, options_.drop_factor, options_.drop_period};
  t.numerics = numerics_of(options_.common, *backend_.backend);
  t.bn = bn_override(options_.bn);
  t.ahead = steps_ahead();
  parse_clip(options_.clip, t.clip);
  t.class_weights = class_weights(options_.class_weights, network_.classes,
                                  class_counts(split("train"), network_.classes.size()));
  const int64_t samples = static_cast<int64_t>(split("train").samples.size());
  plan_ = plan_epoch(samples, settings_.batch, options_.drop_last);
  const int64_t most = std::min({settings_.micro_batch, settings_.batch, samples});
  cut_ = find_cut(network_.model, t.bn);
  feed_ = std::make_unique<Feed>(network_, *backend_.backend, t.numerics, most, cut_.value,
                                 t.ahead > 0);
  trainer_ = std::make_unique<Trainer>(network_, *backend_.backend, *feed_, t, samples);
  evaluator_ =
      std::make_unique<Evaluator>(network_, *backend_.backend, *feed_, t.numerics, feed_->part());
  size_t bytes = evaluator_->compiled().arena_bytes();
  if (feed_->front() != nullptr) bytes = std::max(bytes, feed_->front()->compiled().arena_bytes());
  for (const CompiledGraph* c : trainer_->compilations()) bytes = std::max(bytes, c->arena_bytes());
  check_memory(bytes);
  arena_ = Tensor({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain},
                  backend_.backend->allocator());
  state_ = make_step_state(*backend_.backend);
  feed_->bind(arena_, state_);
  trainer_->bind(arena_, state_);
  evaluator_->bind(arena_, state_);
  decode_ = make_decode(network_.recipe, options_.random_crop, options_.common.seed);
}

void FinetuneRun::print_data() const {
  for (const Split& s : data_.data.splits) {
    const std::vector<int64_t> counts = class_counts(s, network_.classes.size());
    std::string classes;
    for (size_t c = 0; c < counts.size() && c < 12; ++c)
      classes += fmt::format("{}{} {}", c ? ", " : "", counts[c], escape(network_.classes[c]));
    if (counts.size() > 12) classes += fmt::format(" and {} more classes", counts.size() - 12);
    fmt::print("{:<11} {} images: {}\n", s.name, s.samples.size(), classes);
  }
  for (const std::string& line : data_.data.notes.lines()) fmt::print("note        {}\n", line);
  if (!data_.skipped.empty()) {
    fmt::print("skipped     {}\n",
               counted(static_cast<int64_t>(data_.skipped.size()), "bad image"));
    for (size_t i = 0; i < data_.skipped.size() && i < kItemsShown; ++i)
      fmt::print("            {}: {}\n", escape(data_.skipped[i].path),
                 escape(data_.skipped[i].reason));
    if (data_.skipped.size() > kItemsShown)
      fmt::print("            and {} more: {} lists them all\n", data_.skipped.size() - kItemsShown,
                 escape((*folder_ / "skipped.csv").string()));
  }
}

void FinetuneRun::print_parameters() const {
  const Graph& graph = network_.model.graph;
  int64_t all = 0, trainable = 0;
  for (const Parameter& p : graph.parameters()) {
    if (p.is_statistic()) continue;
    all += p.shape.elements();
    if (p.trainable) trainable += p.shape.elements();
  }
  fmt::print("model       {}, {} parameters, {} train\n", network_.model.name, all, trainable);
  fmt::print("input       {}\n", describe(network_.recipe));
  if (file_) {
    fmt::print("weights     {}: {}\n", escape(options_.weights), summary(loaded_));
    fmt::print("self-test   {}\n", self_test_);
    if (network_.recipe != file_->recipe)
      fmt::print("note        the weights were made for other input: {}\n",
                 describe(file_->recipe));
  } else {
    fmt::print("weights     none: from scratch, He initialisation, seed {}; {}\n",
               options_.common.seed,
               trainable == all ? "all layers train" : "what is not frozen trains");
    if (options_.head_lr_factor_given)
      fmt::print(
          "note        --head-lr-factor does nothing without --weights: every layer is new\n");
  }
  for (const ParameterGroup& g : network_.parameters->groups()) {
    const std::string& first = graph.parameters()[static_cast<size_t>(g.parameters.front())].name;
    const std::string& last = graph.parameters()[static_cast<size_t>(g.parameters.back())].name;
    fmt::print("trains      {:>11} at rate {:g} (factor {:g}), decay {:g}: {}{}\n",
               counted(static_cast<int64_t>(g.parameters.size()), "tensor"),
               settings_.lr * g.lr_factor, g.lr_factor, options_.l2 * g.decay_factor, first,
               first == last ? "" : " … " + last);
  }
  std::map<std::string, int> bn;
  for (const CompiledNode& c : trainer_->compilations().back()->nodes()) {
    if (c.layer->kind() == "batchnorm2d")
      ++bn[c.bn == BnMode::batch ? "batch" : c.bn == BnMode::running ? "running" : "frozen"];
  }
  for (const auto& [mode, count] : bn)
    fmt::print("batch-norm  {} in mode {}{}\n", count, mode,
               mode != "batch" ? ""
               : settings_.bn_final == "population"
                   ? "; in the end: statistics of all training images"
                   : "; in the end: running statistics");
  if (!options_.bn.empty() && bn.empty())
    fmt::print(
        "note        --bn {} does nothing: {} has no batch-norm that is a node of its own here\n",
        options_.bn, network_.model.name);
  if (options_.bn_final == "population" && !bn.contains("batch"))
    fmt::print(
        "note        --bn-final population does nothing: no batch-norm uses statistics of the "
        "batch\n");
}

void FinetuneRun::print_training() const {
  ClipSpec clip;
  parse_clip(options_.clip, clip);
  if (clip.kind != ClipSpec::Kind::none) fmt::print("clipping    {}\n", describe(clip));
  const std::vector<double> weights =
      class_weights(options_.class_weights, network_.classes,
                    class_counts(split("train"), network_.classes.size()));
  std::string list;
  for (size_t c = 0; c < weights.size() && c < 12; ++c)
    list += fmt::format("{}{} {:.4g}", c ? ", " : "", escape(network_.classes[c]), weights[c]);
  if (!weights.empty()) fmt::print("weighing    {}{}\n", list, weights.size() > 12 ? ", …" : "");
  const size_t val = split("val").samples.size();
  if (validation_split().samples.size() < val)
    fmt::print("validation  {} of {} images, the same each time; all of them at the end\n",
               validation_split().samples.size(), val);
  if (options_.patience > 0)
    fmt::print("patience    ends after {} in a row without a better one\n",
               counted(options_.patience, "validation"));
}

void FinetuneRun::print_forecast() {
  const double parameters = static_cast<double>(network_.parameters->bytes());
  const double optimizer = static_cast<double>(trainer_->optimizer_bytes() + feed_->bytes());
  size_t unplanned = feed_->front() != nullptr ? feed_->front()->compiled().unplanned_bytes() : 0;
  for (const CompiledGraph* c : trainer_->compilations())
    unplanned = std::max(unplanned, c->unplanned_bytes());
  fmt::print(
      "memory      {} of parameters and gradients, {} of optimizer and input, {} of activations "
      "({} without reuse){}\n",
      bytes_text(parameters), bytes_text(optimizer),
      bytes_text(static_cast<double>(arena_.bytes())), bytes_text(static_cast<double>(unplanned)),
      pixels_kept_ == 0 ? ""
                        : fmt::format("; decoded images stay, {} on the host",
                                      bytes_text(static_cast<double>(pixels_kept_))));
  print_features();
  if (backend_.plans) fmt::print("plans       {}\n", backend_.plans->account());
  const RunForecast f = make_forecast();
  fmt::print("plan        {} of {}, batch {}{}; {}{}\n", counted(settings_.epochs, "epoch"),
             counted(plan_.batches, "step"), settings_.batch,
             settings_.micro_batch < settings_.batch
                 ? fmt::format(" in micro-batches of {}", settings_.micro_batch)
                 : "",
             counted(validations(), "validation"), plan_.note.empty() ? "" : "; " + plan_.note);
  const bool differ = f.later_epoch_s < 0.95 * f.first_epoch_s && settings_.epochs > 1;
  fmt::print(
      "forecast    training {}{}, validation {}, final evaluation {}; decoding included, files and "
      "pictures not\n",
      duration_text(f.train_s),
      differ ? fmt::format(" (first epoch {}, later ones {})", duration_text(f.first_epoch_s),
                           duration_text(f.later_epoch_s))
             : "",
      duration_text(f.val_s), duration_text(f.final_s));
}

void FinetuneRun::print_header() {
  print_data();
  print_parameters();
  print_training();
  print_forecast();
  std::fflush(stdout);
}

// Bytes of best.h5 or last.h5, at most.
uint64_t FinetuneRun::weight_file_bytes() const {
  int64_t elements = 0;
  for (const Parameter& p : network_.model.graph.parameters()) elements += p.shape.elements();
  return 4 * static_cast<uint64_t>(elements) + (uint64_t{1} << 20);
}

// best.h5, last.h5, a third while one of them is replaced, and what pictures and tables may take.
uint64_t FinetuneRun::output_bytes() const { return 3 * weight_file_bytes() + (uint64_t{8} << 20); }

void FinetuneRun::check_space() const {
  require_file_size(*folder_ / "best.h5", weight_file_bytes());
  require_space(folder_->path(), output_bytes(), {"best.h5", "last.h5"});
}

int FinetuneRun::run() {
  if (!options_.drops_given.empty() && options_.schedule != "step")
    throw Error(2005, options_.drops_given, "is for --schedule step, and the schedule is constant",
                "add --schedule step, or leave it out");
  if (!options_.model.empty()) find_model(options_.model);
  const int64_t batch = resolve(options_, !options_.weights.empty()).batch;
  if (options_.micro_batch && *options_.micro_batch > batch)
    throw Error(
        2005, "--micro-batch",
        fmt::format("{} images are more than the batch of {}", *options_.micro_batch, batch),
        "use --micro-batch to cut a batch into parts, or a larger --batch");
  refuse_run_folder(options_.out, options_.force, input_folders(options_.data));
  StopRequest signals;  // before the first thread
  open_device();
  load_file();
  find_images();
  build_network();
  watched("the compilation of a step", [&] { compile(); });
  check_space();
  if (!data_.skipped.empty())
    ResultWriter(&*folder_, network_.classes).write_skipped(data_.skipped);
  open_features();
  pixels_kept_ = choose_pixels();
  print_header();
  before_s_ = seconds();
  signals.note_the_first();
  try {
    train();
    write_results();
  } catch (const Stopped&) {
    return finish_stopped();
  } catch (const Error& e) {
    record_failure(e);
    if (e.status() == ExitStatus::device) end_without_device(e);
    throw;
  }
  return 0;
}

}  // namespace ft::app
