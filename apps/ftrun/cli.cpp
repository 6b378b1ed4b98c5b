// The command line, by CLI11. Names and meaning of the flags are a contract: docs/cli.md.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "apps/ftrun/config_args.h"
#include "apps/ftrun/flag_values.h"
#include "apps/ftrun/op_choice.h"
#include "apps/plan/gpu.h"
#include "models/model.h"

namespace ft::app {
namespace {

// "alexnet, alexnet-tv, … or vgg16-keras".
std::string model_names() {
  const std::vector<ModelInfo>& models = all_models();
  std::string text = models.front().name;
  for (size_t i = 1; i < models.size(); ++i)
    text += (i + 1 == models.size() ? " or " : ", ") + models[i].name;
  return text;
}

void add_precision(CLI::App* app, CommonOptions& o) {
  app->add_option("--precision", o.precision, "f32, tf32 or bf16")
      ->check(one_of({"f32", "tf32", "bf16"}))
      ->capture_default_str();
}

void add_common(CLI::App* app, CommonOptions& o) {
  app->add_option("--device", o.device, "auto, cpu, cuda, cuda:N or ref")->capture_default_str();
  app->add_option("--threads", o.threads, "compute threads on the CPU; 0: all cores")
      ->check(between(0, 1024, "a whole number from 0 to 1024"))
      ->capture_default_str();
  add_precision(app, o);
  app->add_option("--seed", o.seed, "seed of everything random")
      ->check(seed_value())
      ->capture_default_str();
  app->add_option("--plans", o.plans, "CUDA: heuristic, timed, or a file of plans")
      ->capture_default_str();
  app->add_flag("--fast", o.fast, "CUDA: allow engines that are not deterministic");
  app->add_option("--workspace-limit", o.workspace_mib, "CUDA: most MiB of a convolution's scratch")
      ->check(between(1, 65536, "a whole number of MiB from 1 to 65536"))
      ->capture_default_str();
}

void add_save(CLI::App* c, StepOptions& o) {
  c->add_option("--save", o.save, "file for the plans of the convolutions, for --plans");
}

void add_self_test(CLI::App* app, bool& off) {
  app->add_flag("--no-self-test", off, "use the weights without their self-test");
}

void add_workers(CLI::App* app, int& workers) {
  app->add_option("--workers", workers, "threads that decode images; 0: none")
      ->check(between(0, 256, "a whole number from 0 to 256"))
      ->capture_default_str();
}

void add_data(CLI::App* app, DataOptions& o) {
  app->add_option("--data", o.data,
                  "folder with train, val and maybe test, a folder a class in each");
  app->add_option("--train", o.train, "folder of the training images, instead of DATA/train");
  app->add_option("--val", o.val, "folder of the validation images");
  app->add_option("--test", o.test, "folder of the test images");
  app->add_option("--bad-images", o.bad_images, "fail or skip")
      ->check(one_of({"fail", "skip"}))
      ->capture_default_str();
  app->add_option("--max-bad", o.max_bad, "with skip: most bad images allowed, in percent")
      ->check(between(0.0, 100.0, "a percentage from 0 to 100"))
      ->capture_default_str();
  app->add_flag("--allow-missing-classes", o.allow_missing_classes,
                "a class may be absent from val or test");
  app->add_flag("--allow-outside-links", o.allow_outside_links,
                "links may lead out of the dataset");
  app->add_flag("--allow-overlap", o.allow_overlap,
                "the same picture may be in two splits; the results are then contaminated");
  add_workers(app, o.workers);
}

void add_step(CLI::App* c, StepOptions& o) {
  c->add_option("--model", o.model, model_names())->capture_default_str();
  c->add_option("--mode", o.mode, "train or infer")
      ->check(one_of({"train", "infer"}))
      ->capture_default_str();
  c->add_option("--batch", o.batch, "images a step")->check(batch_value())->capture_default_str();
  c->add_option("--classes", o.classes, "outputs of the classifier")
      ->check(count_value())
      ->capture_default_str();
  c->add_option("--input-size", o.input_size, "side of the input (default: the published one)")
      ->check(size_value());
  c->add_option("--freeze", o.freeze, "as for finetune");
  c->add_option("--unfreeze", o.unfreeze, "as for finetune");
  c->add_flag("--head-only", o.head_only, "freeze all but the head");
}

// An op of the table, or one of its cases, which op_choice.cpp looks for.
CLI::Validator op_name() {
  return {[](std::string& text) {
            const std::vector<std::string> names = op_names();
            if (std::ranges::find(names, text.substr(0, text.find('/'))) != names.end())
              return std::string{};
            return fmt::format("\"{}\" is not one of {}", text, fmt::join(names, ", "));
          },
          "", "op"};
}

void add_op(CLI::App* c, OpOptions& o) {
  c->get_option("--model")->each([&o](const std::string&) { o.of_model = true; });
  c->add_option("--op", o.op, "time an op instead: conv2d, matmul, ..., or a case of the table")
      ->check(op_name());
  c->add_option("--shape", o.shape,
                "with --op: its input, N,C,H,W (default: the cases of the table)");
  c->add_option("--filters", o.filters, "with --shape: outputs of conv2d and matmul")
      ->check(count_value());
  c->add_option("--kernel", o.kernel, "with --shape: side of the window (default: 1)")
      ->check(count_value());
  c->add_option("--stride", o.stride,
                "with --shape: step of the window (default: 1; pooling: the window)")
      ->check(count_value());
  c->add_option("--pad", o.pad, "with --shape: padding (default: 0)")
      ->check(between(int64_t{0}, int64_t{1000000}, "a whole number from 0 to 1000000"));
  c->add_option("--groups", o.groups, "with --shape: groups of conv2d (default: 1)")
      ->check(count_value());
  c->add_option("--pass", o.pass, "with --op: fwd, dx, dw or all")
      ->check(one_of({"fwd", "dx", "dw", "all"}))
      ->capture_default_str();
  c->add_option("--engine", o.engine, "with --op conv2d: all, or the number of an engine");
  c->add_option("--peaks", o.peaks,
                "with --op: F32,BF16,MEMORY in GFLOP/s, GFLOP/s, GB/s (default: measured)");
}

CLI::App* add_finetune(CLI::App& app, FinetuneOptions& o) {
  CLI::App* c =
      app.add_subcommand("finetune", "fine-tune a network on a folder of images per class");
  c->add_option("--model", o.model, model_names() + " (default: that of the weights)");
  c->add_option("--weights", o.weights, "weight file to start from; without: from scratch");
  add_self_test(c, o.no_self_test);
  c->add_option("--out", o.out, "folder of the run")->required();
  c->add_option("--config", o.config,
                "TOML file with the same names as the flags, for example a run.toml; flags win");
  c->add_flag("--force", o.force, "write into a folder that holds another run");
  add_data(c, o.data);
  add_common(c, o.common);
  c->add_option("--protocol", o.protocol, "matlab: the original experiment's settings")
      ->check(one_of({"matlab"}));
  c->add_option("--lr", o.lr, "base learning rate (default: 0.001)")->check(rate_value());
  c->add_option("--momentum", o.momentum, "share of the last step in the next one")
      ->check(share_value())
      ->capture_default_str();
  c->add_option("--l2", o.l2, "weight decay")->check(factor_value())->capture_default_str();
  c->add_option("--rule", o.rule, "caffe (also MATLAB) or pytorch")
      ->check(one_of({"caffe", "pytorch"}))
      ->capture_default_str();
  c->add_option("--schedule", o.schedule, "constant or step")
      ->check(one_of({"constant", "step"}))
      ->capture_default_str();
  c->add_option("--drop-factor", o.drop_factor, "step: factor of a drop")
      ->check(between(0.0, 1.0, "a number from 0 to 1"))
      ->capture_default_str()
      ->each([&o](const std::string&) { o.drops_given = "--drop-factor"; });
  c->add_option("--drop-period", o.drop_period, "step: epochs between drops")
      ->check(count_value())
      ->capture_default_str()
      ->each([&o](const std::string&) { o.drops_given = "--drop-period"; });
  c->add_option("--epochs", o.epochs,
                "passes over the training images (default: 10, from scratch 30)")
      ->check(count_value());
  c->add_option("--batch", o.batch, "images a step (default: 32)")->check(batch_value());
  c->add_option("--micro-batch", o.micro_batch, "images computed at a time; gradients are summed")
      ->check(batch_value());
  c->add_flag("--drop-last", o.drop_last, "leave out a last batch that is not full");
  c->add_option("--shuffle", o.shuffle, "every-epoch, once or never")
      ->check(one_of({"every-epoch", "once", "never"}))
      ->capture_default_str();
  c->add_option("--head-lr-factor", o.head_lr_factor, "with --weights: rate factor of the new head")
      ->check(factor_value())
      ->capture_default_str()
      ->each([&o](const std::string&) { o.head_lr_factor_given = true; });
  add_factors(c, "--lr-factor", o.lr_factors, "rate factor of matching weights and biases");
  add_factors(c, "--decay-factor", o.decay_factors, "decay factor of matching weights and biases");
  c->add_option("--freeze", o.freeze,
                "parameters that do not train: globs and a..b, comma-separated");
  c->add_option("--unfreeze", o.unfreeze, "parameters that train all the same");
  c->add_option("--bn", o.bn, "batch, running or frozen, for every batch-norm")
      ->check(one_of({"batch", "running", "frozen"}));
  c->add_option("--bn-final", o.bn_final,
                "statistics in the end: running, or of the whole population")
      ->check(one_of({"running", "population"}));
  c->add_option("--clip", o.clip,
                "none, value=X, l2norm=X (each tensor) or global-l2norm=X: bound of the gradients")
      ->check(clip_value())
      ->capture_default_str();
  c->add_option("--class-weights", o.class_weights,
                "none, balanced, or CLASS=W,...: how much a class counts in the loss")
      ->check(class_weights_value())
      ->capture_default_str();
  c->add_option("--input-size", o.input_size,
                "side of the network's input (default: that of the weights, or the published one)")
      ->check(size_value());
  c->add_option("--resize", o.resize,
                "squash; crop: short side, then centre; letterbox: all of it on a border")
      ->check(one_of({"squash", "crop", "letterbox"}));
  c->add_option("--mean", o.mean, "weights: the recipe's; dataset: of the training images")
      ->check(one_of({"weights", "dataset"}));
  c->add_flag("--flip", o.flip, "mirror training images at random");
  c->add_flag("--random-crop", o.random_crop,
              "cut training images out at random places; with --resize crop");
  c->add_option("--feature-cache", o.feature_cache,
                "keep what the frozen layers make of each image: auto, memory, disk or off")
      ->check(one_of({"auto", "memory", "disk", "off"}))
      ->capture_default_str();
  c->add_option("--feature-cache-bytes", o.feature_cache_bytes,
                "memory that it may take (default: half of what is available)")
      ->check(between(int64_t{0}, int64_t{1} << 50, "a whole number of bytes"));
  c->add_option("--val-every", o.val_every, "epoch, or a number of steps")->check(epoch_or_steps());
  c->add_option("--val-subset", o.val_subset,
                "images of an intermediate validation, chosen by the seed; 0: all")
      ->check(between(int64_t{0}, int64_t{1000000}, "a whole number from 0 to 1000000"))
      ->capture_default_str();
  c->add_option("--patience", o.patience,
                "end after so many validations in a row without a better one; 0: never")
      ->check(between(int64_t{0}, int64_t{1000000}, "a whole number from 0 to 1000000"))
      ->capture_default_str();
  c->add_option("--device-timeout", o.device_timeout,
                "seconds that a GPU may take for one result, then the run ends; 0: any time")
      ->check(between(0.0, 1e6, "a number from 0 to 1e6"))
      ->capture_default_str();
  c->add_option("--print", o.print, "pictures: train-set,test-set,confusion,gradcam or none")
      ->check(picture_list())
      ->capture_default_str();
  return c;
}

void add_verbs(CLI::App& app, CommandLine& out) {
  CLI::App* c = app.add_subcommand(
      "evaluate", "accuracy, confusion matrix and pictures of a fine-tuned network");
  c->add_option("--weights", out.evaluate.weights, "weight file")->required();
  add_self_test(c, out.evaluate.no_self_test);
  c->add_option("--out", out.evaluate.out, "folder for predictions.csv and pictures");
  c->add_flag("--force", out.evaluate.force, "write into a folder that holds another run");
  c->add_option("--split", out.evaluate.split, "train, val or test (default: test, else val)")
      ->check(one_of({"train", "val", "test"}));
  c->add_option("--batch", out.evaluate.batch, "images computed at a time")
      ->check(batch_value())
      ->capture_default_str();
  c->add_option("--print", out.evaluate.print, "pictures: test-set,confusion,gradcam or none")
      ->check(picture_list())
      ->capture_default_str();
  add_data(c, out.evaluate.data);
  add_common(c, out.evaluate.common);

  c = app.add_subcommand("predict", "class probabilities of images or folders");
  c->add_option("files", out.predict.files, "images or folders")->required();
  c->add_option("--weights", out.predict.weights, "weight file")->required();
  add_self_test(c, out.predict.no_self_test);
  c->add_option("--top", out.predict.top, "classes shown an image")
      ->check(between(1, 1000000, "a whole number from 1 on"))
      ->capture_default_str();
  c->add_flag("--json", out.predict.json, "one JSON object a line");
  c->add_option("--batch", out.predict.batch, "images computed at a time")
      ->check(batch_value())
      ->capture_default_str();
  c->add_option("--bad-images", out.predict.bad_images, "fail or skip")
      ->check(one_of({"fail", "skip"}))
      ->capture_default_str();
  add_workers(c, out.predict.workers);
  add_common(c, out.predict.common);

  c = app.add_subcommand("explain", "Grad-CAM: which part of an image speaks for its class");
  c->add_option("files", out.explain.files, "images")->required();
  c->add_option("--weights", out.explain.weights, "weight file")->required();
  add_self_test(c, out.explain.no_self_test);
  c->add_option("--out", out.explain.out, "PNG file")->capture_default_str();
  c->add_option("--class", out.explain.class_name, "class to explain (default: the predicted one)");
  c->add_option("--target", out.explain.target, "logit, or softmax as MATLAB does")
      ->check(one_of({"logit", "softmax"}))
      ->capture_default_str();
  c->add_option("--bad-images", out.explain.bad_images, "fail or skip")
      ->check(one_of({"fail", "skip"}))
      ->capture_default_str();
  c->add_option("--map", out.explain.map, "node whose output is weighted (default: the last map)");
  add_common(c, out.explain.common);

  c = app.add_subcommand("summary", "layers, shapes, parameters and work of a model");
  c->add_option("--model", out.summary.model, model_names())->required();
  c->add_option("--classes", out.summary.classes, "outputs of the classifier")
      ->check(count_value())
      ->capture_default_str();
  c->add_option("--batch", out.summary.batch, "images")
      ->check(batch_value())
      ->capture_default_str();
  c->add_option("--input-size", out.summary.input_size,
                "side of the input (default: the published one)")
      ->check(size_value());
  c->add_option("--freeze", out.summary.freeze, "as for finetune");
  c->add_option("--unfreeze", out.summary.unfreeze, "as for finetune");
  c->add_option("--bn", out.summary.bn, "batch, running or frozen, for every batch-norm")
      ->check(one_of({"batch", "running", "frozen"}));
  c->add_flag("--backward", out.summary.backward, "print the backward walk");
  c->add_flag("--plan", out.summary.plan, "print the compiled step with its memory");
  c->add_flag("--dot", out.summary.dot, "print the graph in Graphviz's language");
  add_common(c, out.summary.common);

  c = app.add_subcommand("inspect", "what a weight file holds");
  c->add_option("file", out.inspect_file, "a weight file")->required();
  c->add_flag("--tensors", out.inspect_tensors, "list every tensor");

  c = app.add_subcommand("convert", "a weight file of another program becomes one of ftrun");
  c->add_option("in", out.convert.in, "a file of PyTorch, safetensors, Keras, MATLAB or Caffe")
      ->required();
  c->add_option("out", out.convert.out, "the weight file to write, OUT.h5")->required();
  c->add_option("--model", out.convert.model,
                "the network, where the file does not tell: one of those of summary");
  c->add_flag("--tensors", out.convert.tensors, "list every tensor and what was done to it");
  c->add_option("--seed", out.convert.seed, "seed of a classifier that the file does not have")
      ->check(seed_value())
      ->capture_default_str();

  c = app.add_subcommand("fetch", "published weights from the network, checked and converted");
  c->add_option("model", out.fetch.model, "alexnet-tv, resnet50 or vgg16")
      ->check(one_of({"alexnet-tv", "resnet50", "vgg16"}))
      ->required();
  c->add_option("out", out.fetch.out, "the weight file to write, OUT.h5")->required();
  c->add_option("--release", out.fetch.release, "torchvision's IMAGENET1K_V1 or, of resnet50, V2")
      ->check(between(1, 2, "1 or 2"))
      ->capture_default_str();
  c->add_option("--url", out.fetch.url, "another address of the file");
  c->add_option("--sha256", out.fetch.sha256,
                "what the file's SHA-256 begins with, instead of the published digits")
      ->check(hash_value());
  c->add_option("--stall", out.fetch.stall_seconds, "seconds below 1 KiB/s that end the transfer")
      ->check(between(1, 3600, "a whole number from 1 to 3600"))
      ->capture_default_str();
  c->add_flag("--keep", out.fetch.keep, "keep the fetched file beside OUT.h5");

  c = app.add_subcommand("export", "a weight file becomes one of PyTorch, safetensors or ONNX");
  c->add_option("file", out.export_.file, "a weight file")->required();
  c->add_option("out", out.export_.out, "the file to write: OUT.pth, OUT.safetensors or OUT.onnx")
      ->required();
  c->add_option("--format", out.export_.format,
                "torch, safetensors or onnx (default: by the ending of the name)")
      ->check(one_of({"torch", "safetensors", "onnx"}));

  c = app.add_subcommand("gradcheck", "compare gradients with central differences in double");
  c->add_option("--model", out.gradcheck.model, "check a whole model");
  c->add_option("--layer", out.gradcheck.layer, "check one kind of layer, or all");
  c->add_option("--samples", out.gradcheck.samples, "elements checked a tensor")
      ->check(count_value())
      ->capture_default_str();
  c->add_option("--input-size", out.gradcheck.input_size, "with --model: side of the input")
      ->check(size_value());
  c->add_option("--seed", out.gradcheck.seed, "seed of all values")
      ->check(seed_value())
      ->capture_default_str();

  c = app.add_subcommand("bench", "time a step on synthetic input, or an op");
  add_step(c, out.bench.step);
  add_common(c, out.bench.step.common);
  add_op(c, out.bench.op);
  c->add_option("--steps", out.bench.steps, "steps that are timed, or runs of a pass of an op")
      ->check(count_value())
      ->capture_default_str();
  add_save(c, out.bench.step);
  c->add_flag("--json", out.bench.json, "one JSON object");

  c = app.add_subcommand("profile", "where the time of a step goes: layer, pass, roofline");
  add_step(c, out.profile.step);
  add_common(c, out.profile.step.common);
  c->add_option("--steps", out.profile.steps, "steps observed; as many run without observers")
      ->check(count_value())
      ->capture_default_str();
  c->add_option("--peaks", out.profile.peaks,
                "F32,BF16,MEMORY in GFLOP/s, GFLOP/s, GB/s (default: measured)");
  c->add_option("--csv", out.profile.csv, "file for the table");
  c->add_option("--json", out.profile.json, "file for the table, the peaks and every step");
  c->add_option("--trace", out.profile.trace, "file for a Chrome trace, for Perfetto");
  c->add_flag("--capture-range", out.profile.capture_range, "bracket steps for nsys and ncu");

  c = app.add_subcommand("plan", "what a step would take on a GPU that is not there");
  c->add_option("--gpu", out.plan.gpu,
                fmt::format("{}, a FILE.json that describes one, or here: this machine's",
                            fmt::join(plan::gpu_names(), ", ")))
      ->required();
  c->add_option("--description", out.plan.description, "file for the description of the GPU");
  add_step(c, out.plan.step);
  add_precision(c, out.plan.step.common);
  add_save(c, out.plan.step);
  c->add_option("--peaks", out.plan.peaks,
                "F32,BF16,MEMORY in GFLOP/s, GFLOP/s, GB/s (default: those of the description)");
  c->add_flag("--json", out.plan.json, "one JSON object");

  c = app.add_subcommand("demo-data", "draw a source and a target task of textures");
  c->add_option("dir", out.demo_data.out, "a folder to draw into")->required();
  c->add_option("--seed", out.demo_data.seed, "seed of every picture")
      ->check(seed_value())
      ->capture_default_str();
  c->add_option("--source-per-class", out.demo_data.source_per_class,
                "training images a class of the source task")
      ->check(count_value());
  c->add_option("--target-per-class", out.demo_data.target_per_class,
                "training images a class of the target task")
      ->check(count_value());
  c->add_flag("--force", out.demo_data.force, "draw into a folder that is not empty");
}

// Names of a command's flags; with `switches`, only of those without a value.
std::vector<std::string> flags_of(const CLI::App& command, bool switches) {
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    if (!option->get_positional() && (!switches || option->get_expected_max() == 0))
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

void build(CLI::App& app, CommandLine& out) {
  app.set_version_flag("--version", "ftrun " FT_VERSION);
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(30);
  add_finetune(app, out.finetune);
  add_verbs(app, out);
  for (CLI::App* sub : app.get_subcommands(nullptr)) {
    sub->fallthrough(false);
    for (CLI::Option* option : sub->get_options())
      if (option->get_expected_max() == 0) option->disable_flag_override();
  }
}

// False: help or version was printed.
bool parse(CLI::App& app, std::vector<std::string> args) {
  try {
    std::ranges::reverse(args);  // as CLI11 wants them
    app.parse(args);
    if (!app.get_subcommands().empty()) refuse_flags_as_values(*app.get_subcommands()[0]);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::CallForVersion&) {
    fmt::print("ftrun {}\n", FT_VERSION);
    return false;
  } catch (const CLI::ParseError& fault) {
    throw told(fault, app);
  }
  if (!app.get_subcommands().empty()) return true;
  fmt::print("{}", app.help());
  return false;
}

}  // namespace

bool parse_command_line(int argc, char** argv, CommandLine& out) {
  CLI::App app{"ftrun: fine-tune vision networks, small and fast", "ftrun"};
  build(app, out);
  std::vector<std::string> args(argv + 1, argv + argc);
  ConfigArgs config;
  if (!args.empty() && args[0] == "finetune") {
    const CLI::App& command = *app.get_subcommand("finetune");
    config = config_args(args, flags_of(command, false), flags_of(command, true));
    args.insert(args.begin() + 1, config.args.begin(), config.args.end());
  }
  try {
    if (!parse(app, std::move(args))) return false;
  } catch (const Error& e) {
    const auto place = config.places.find(e.where());
    if (place == config.places.end()) throw;
    throw Error(e.number(), place->second, e.where().substr(2) + ": " + e.seen(), e.remedy());
  }
  out.command = app.get_subcommands()[0]->get_name();
  return true;
}

}  // namespace ft::app
