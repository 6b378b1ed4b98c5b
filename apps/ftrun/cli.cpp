// The command line, by CLI11. Names and meaning of the flags are a contract: docs/cli.md.
#include <CLI/CLI.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/ftrun/options.h"
#include "models/model.h"
#include "models/patterns.h"
#include "tensor/error.h"

namespace ft::app {
namespace {

constexpr int64_t kMaxBatch = 65536;

// A validator that says what is allowed; CLI11 puts flag and value in front.
template <class T>
CLI::Validator between(T low, T high, const std::string& what) {
  return {[=](std::string& text) {
            T value{};
            if (!CLI::detail::lexical_cast(text, value) || !(value >= low && value <= high))
              return fmt::format("\"{}\" is not {}", text, what);
            return std::string{};
          },
          "", "range"};
}

const CLI::Validator kRate = between(0.0, 1e6, "a positive finite number (0 needs a frozen layer instead)");
const CLI::Validator kShare = between(0.0, 0.999999, "a number from 0 to below 1");
const CLI::Validator kDecay = between(0.0, 1e6, "a finite number, 0 or more");
const CLI::Validator kBatch = between(int64_t{1}, kMaxBatch, "a whole number from 1 to 65536");
const CLI::Validator kCount = between(int64_t{1}, int64_t{1000000}, "a whole number from 1 to 1000000");
const CLI::Validator kSize = between(1, 4096, "a whole number from 1 to 4096");
const CLI::Validator kThreads = between(0, 1024, "a whole number from 0 to 1024");
const CLI::Validator kPercent = between(0.0, 100.0, "a percentage from 0 to 100");

CLI::Validator one_of(const std::vector<std::string>& allowed) {
  return {[=](std::string& text) {
            for (const std::string& a : allowed)
              if (a == text) return std::string{};
            std::string list;
            for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
            return fmt::format("\"{}\" is not one of {}", text, list);
          },
          "", "choice"};
}

// "pattern=w" or "pattern=w,b"
void add_factors(CLI::App* app, const std::string& flag, FactorList& out, const std::string& help) {
  app->add_option_function<std::vector<std::string>>(
         flag,
         [&out, flag](const std::vector<std::string>& items) {
           for (const std::string& item : items) {
             const size_t equals = item.rfind('='), comma = item.find(',', equals);
             std::pair<double, double> factors;
             const auto number = [&](const std::string& text, double& value) {
               if (!CLI::detail::lexical_cast(text, value) || !(value >= 0 && value <= 1e6))
                 throw CLI::ValidationError(flag, fmt::format("\"{}\" is not PATTERN=WEIGHT or PATTERN=WEIGHT,BIAS "
                                                              "with factors of 0 or more", item));
             };
             if (equals == std::string::npos) number("", factors.first);
             number(item.substr(equals + 1, comma == std::string::npos ? comma : comma - equals - 1), factors.first);
             factors.second = factors.first;
             if (comma != std::string::npos) number(item.substr(comma + 1), factors.second);
             out.push_back({item.substr(0, equals), factors});
           }
         },
         help)
      ->type_name("PATTERN=W[,B]");
}

void add_common(CLI::App* app, CommonOptions& o) {
  app->add_option("--device", o.device, "auto, cpu, cuda, cuda:N or ref")->capture_default_str();
  app->add_option("--threads", o.threads, "compute threads on the CPU; 0: all cores")->check(kThreads)->capture_default_str();
  app->add_option("--precision", o.precision, "f32, tf32 or bf16")->check(one_of({"f32", "tf32", "bf16"}))->capture_default_str();
  app->add_option("--seed", o.seed, "seed of everything random")->capture_default_str();
}

void add_data(CLI::App* app, DataOptions& o) {
  app->add_option("--data", o.data, "folder with train, val and maybe test, a folder a class in each");
  app->add_option("--train", o.train, "folder of the training images, instead of DATA/train");
  app->add_option("--val", o.val, "folder of the validation images");
  app->add_option("--test", o.test, "folder of the test images");
  app->add_option("--bad-images", o.bad_images, "fail or skip")->check(one_of({"fail", "skip"}))->capture_default_str();
  app->add_option("--max-bad", o.max_bad, "with skip: most bad images allowed, in percent")->check(kPercent)->capture_default_str();
  app->add_flag("--allow-missing-classes", o.allow_missing_classes, "a class may be absent from val or test");
  app->add_flag("--allow-outside-links", o.allow_outside_links, "links may lead out of the dataset");
  app->add_flag("--allow-overlap", o.allow_overlap, "the same picture may be in two splits; the results are then contaminated");
  app->add_option("--workers", o.workers, "threads that decode images; 0: none")->check(between(0, 256, "a whole number from 0 to 256"))->capture_default_str();
}

CLI::App* add_finetune(CLI::App& app, FinetuneOptions& o) {
  CLI::App* c = app.add_subcommand("finetune", "fine-tune a network on a folder of images per class");
  c->add_option("--model", o.model, "alexnet, alexnet-tv, resnet50 or resnet50-v1 (default: that of the weights)");
  c->add_option("--weights", o.weights, "weight file to start from; without: from scratch");
  c->add_option("--out", o.out, "folder of the run")->required();
  c->add_flag("--force", o.force, "write into a folder that holds another run");
  add_data(c, o.data);
  add_common(c, o.common);
  c->add_option("--protocol", o.protocol, "matlab: the original experiment's settings")->check(one_of({"matlab"}));
  c->add_option("--lr", o.lr, "base learning rate")->check(kRate);
  c->add_option("--momentum", o.momentum, "")->check(kShare)->capture_default_str();
  c->add_option("--l2", o.l2, "weight decay")->check(kDecay)->capture_default_str();
  c->add_option("--rule", o.rule, "caffe (also MATLAB) or pytorch")->check(one_of({"caffe", "pytorch"}))->capture_default_str();
  c->add_option("--schedule", o.schedule, "constant or step")->check(one_of({"constant", "step"}))->capture_default_str();
  c->add_option("--drop-factor", o.drop_factor, "step: factor of a drop")->check(between(0.0, 1.0, "a number from 0 to 1"))->capture_default_str();
  c->add_option("--drop-period", o.drop_period, "step: epochs between drops")->check(kCount)->capture_default_str();
  c->add_option("--epochs", o.epochs, "")->check(kCount);
  c->add_option("--batch", o.batch, "images a step")->check(kBatch);
  c->add_option("--micro-batch", o.micro_batch, "images computed at a time; gradients are summed")->check(kBatch);
  c->add_flag("--drop-last", o.drop_last, "leave out a last batch that is not full");
  c->add_option("--shuffle", o.shuffle, "every-epoch, once or never")->check(one_of({"every-epoch", "once", "never"}))->capture_default_str();
  c->add_option("--head-lr-factor", o.head_lr_factor, "rate factor of a new head")->check(kDecay)->capture_default_str();
  add_factors(c, "--lr-factor", o.lr_factors, "rate factor of matching weights and biases");
  add_factors(c, "--decay-factor", o.decay_factors, "decay factor of matching weights and biases");
  c->add_option("--freeze", o.freeze, "parameters that do not train: globs and a..b, comma-separated");
  c->add_option("--unfreeze", o.unfreeze, "parameters that train all the same");
  c->add_option("--bn", o.bn, "batch, running or frozen, for every batch-norm")->check(one_of({"batch", "running", "frozen"}));
  c->add_option("--input-size", o.input_size, "side of the network's input")->check(kSize);
  c->add_option("--resize", o.resize, "squash, or crop: short side, then centre")->check(one_of({"squash", "crop"}));
  c->add_option("--mean", o.mean, "weights: the recipe's; dataset: of the training images")->check(one_of({"weights", "dataset"}));
  c->add_flag("--flip", o.flip, "mirror training images at random");
  c->add_option("--val-every", o.val_every, "epoch, or a number of iterations");
  c->add_option("--print", o.print, "pictures: train-set,test-set,confusion,gradcam or none")->capture_default_str();
  return c;
}

void add_verbs(CLI::App& app, CommandLine& out) {
  CLI::App* c = app.add_subcommand("evaluate", "accuracy, confusion matrix and pictures of a fine-tuned network");
  c->add_option("--weights", out.evaluate.weights, "weight file")->required();
  c->add_option("--out", out.evaluate.out, "folder for predictions.csv and pictures");
  c->add_flag("--force", out.evaluate.force, "write into a folder that holds another run");
  c->add_option("--split", out.evaluate.split, "train, val or test (default: test, else val)")->check(one_of({"train", "val", "test"}));
  c->add_option("--batch", out.evaluate.batch, "")->check(kBatch)->capture_default_str();
  c->add_option("--print", out.evaluate.print, "pictures: test-set,confusion,gradcam or none")->capture_default_str();
  add_data(c, out.evaluate.data);
  add_common(c, out.evaluate.common);

  c = app.add_subcommand("predict", "class probabilities of images or folders");
  c->add_option("files", out.predict.files, "images and folders")->required();
  c->add_option("--weights", out.predict.weights, "weight file")->required();
  c->add_option("--top", out.predict.top, "classes shown an image")->check(between(1, 1000000, "a whole number from 1 on"))->capture_default_str();
  c->add_flag("--json", out.predict.json, "one JSON object a line");
  c->add_option("--batch", out.predict.batch, "")->check(kBatch)->capture_default_str();
  c->add_option("--bad-images", out.predict.bad_images, "fail or skip")->check(one_of({"fail", "skip"}))->capture_default_str();
  add_common(c, out.predict.common);

  c = app.add_subcommand("explain", "Grad-CAM: which part of an image speaks for its class");
  c->add_option("files", out.explain.files, "images")->required();
  c->add_option("--weights", out.explain.weights, "weight file")->required();
  c->add_option("--out", out.explain.out, "PNG file")->capture_default_str();
  c->add_option("--class", out.explain.class_name, "class to explain (default: the predicted one)");
  c->add_option("--target", out.explain.target, "logit, or softmax as MATLAB does")->check(one_of({"logit", "softmax"}))->capture_default_str();
  c->add_option("--map", out.explain.map, "node whose output is weighted (default: the last map)");
  add_common(c, out.explain.common);

  c = app.add_subcommand("summary", "layers, shapes, parameters and work of a model");
  c->add_option("--model", out.summary.model, "")->required();
  c->add_option("--classes", out.summary.classes, "")->check(kCount)->capture_default_str();
  c->add_option("--batch", out.summary.batch, "")->check(kBatch)->capture_default_str();
  c->add_option("--input-size", out.summary.input_size, "")->check(kSize);
  c->add_option("--freeze", out.summary.freeze, "as for finetune");
  c->add_option("--unfreeze", out.summary.unfreeze, "as for finetune");
  c->add_option("--bn", out.summary.bn, "")->check(one_of({"batch", "running", "frozen"}));
  c->add_flag("--backward", out.summary.backward, "print the backward walk");
  c->add_flag("--plan", out.summary.plan, "print the compiled step with its memory");
  c->add_flag("--dot", out.summary.dot, "print the graph in Graphviz's language");
  add_common(c, out.summary.common);

  c = app.add_subcommand("inspect", "what a weight file holds");
  c->add_option("file", out.inspect_file, "")->required();
  c->add_flag("--tensors", out.inspect_tensors, "list every tensor");

  c = app.add_subcommand("gradcheck", "compare gradients with central differences in double");
  c->add_option("--model", out.gradcheck.model, "check a whole model");
  c->add_option("--layer", out.gradcheck.layer, "check one kind of layer, or all");
  c->add_option("--samples", out.gradcheck.samples, "elements checked a tensor")->check(kCount)->capture_default_str();
  c->add_option("--input-size", out.gradcheck.input_size, "")->check(kSize);
  c->add_option("--seed", out.gradcheck.seed, "")->capture_default_str();

  c = app.add_subcommand("bench", "time a step on synthetic input");
  c->add_option("--model", out.bench.model, "")->capture_default_str();
  c->add_option("--mode", out.bench.mode, "train or infer")->check(one_of({"train", "infer"}))->capture_default_str();
  c->add_option("--batch", out.bench.batch, "")->check(kBatch)->capture_default_str();
  c->add_option("--steps", out.bench.steps, "")->check(kCount)->capture_default_str();
  c->add_option("--classes", out.bench.classes, "")->check(kCount)->capture_default_str();
  c->add_option("--input-size", out.bench.input_size, "")->check(kSize);
  c->add_option("--freeze", out.bench.freeze, "as for finetune");
  c->add_option("--unfreeze", out.bench.unfreeze, "as for finetune");
  c->add_flag("--head-only", out.bench.head_only, "freeze all but the head");
  c->add_flag("--json", out.bench.json, "one JSON object");
  add_common(c, out.bench.common);

  c = app.add_subcommand("demo-data", "draw a source and a target task of textures");
  c->add_option("dir", out.demo_data.out, "folder to make")->required();
  c->add_option("--seed", out.demo_data.seed, "")->capture_default_str();
  c->add_option("--source-per-class", out.demo_data.source_per_class, "training images a class of the source task")->check(kCount);
  c->add_option("--target-per-class", out.demo_data.target_per_class, "training images a class of the target task")->check(kCount);
  c->add_flag("--force", out.demo_data.force, "draw into a folder that is not empty");
}

// The first argument that looks like a flag and that `app` does not know, with the nearest one that it does.
[[noreturn]] void unknown_argument(const CLI::App& app, const std::string& seen) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* sub : app.get_subcommands(nullptr)) names.push_back(sub->get_name());
  const std::string near = nearest_name(seen.substr(0, seen.find('=')), names);
  const std::string help = app.get_parent() ? "ftrun " + app.get_name() + " --help" : "ftrun --help";
  throw Error(2001, seen, app.get_parent() ? "there is no such flag" : "there is no such command or flag",
              (near.empty() ? "" : "did you mean " + near + "? ") + (help + " lists them"));
}

void check_words(const CommandLine& c) {
  const auto check = [](const std::string& list) {
    static const std::vector<std::string> kWords{"train-set", "test-set", "confusion", "gradcam", "none"};
    for (size_t begin = 0; begin <= list.size();) {
      const size_t end = std::min(list.find(',', begin), list.size());
      const std::string word = list.substr(begin, end - begin);
      if (std::find(kWords.begin(), kWords.end(), word) == kWords.end())
        throw Error(2003, "--print", fmt::format("\"{}\" is not a picture", word),
                    "use train-set, test-set, confusion, gradcam or none, comma-separated");
      begin = end + 1;
    }
  };
  check(c.finetune.print);
  check(c.evaluate.print);
  const std::string& every = c.finetune.val_every;
  int64_t n = 0;
  if (!every.empty() && every != "epoch" && (!CLI::detail::lexical_cast(every, n) || n < 1))
    throw Error(2003, "--val-every", fmt::format("\"{}\" is neither epoch nor a number of iterations", every),
                "use epoch, or a whole number from 1 on");
  if (c.command == "finetune" && c.finetune.lr && *c.finetune.lr == 0)
    throw Error(2003, "--lr", "a rate of 0 trains nothing", "use a positive rate");
}

}  // namespace

bool parse_command_line(int argc, char** argv, CommandLine& out) {
  CLI::App app{"ftrun: fine-tune vision networks, small and fast", "ftrun"};
  app.set_version_flag("--version", "ftrun " FT_VERSION);
  app.require_subcommand(0, 1);
  app.get_formatter()->column_width(30);
  add_finetune(app, out.finetune);
  add_verbs(app, out);
  for (CLI::App* sub : app.get_subcommands(nullptr)) sub->fallthrough(false);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", (app.get_subcommands().empty() ? &app : app.get_subcommands()[0])->help());
    return false;
  } catch (const CLI::CallForVersion&) {
    fmt::print("ftrun {}\n", FT_VERSION);
    return false;
  } catch (const CLI::ExtrasError&) {
    const CLI::App* used = app.get_subcommands().empty() ? &app : app.get_subcommands()[0];
    std::vector<std::string> extras = used->remaining(true);
    if (extras.empty()) extras = app.remaining(true);
    unknown_argument(*used, extras.empty() ? "?" : extras.front());
  } catch (const CLI::RequiredError& e) {
    throw Error(2002, "command line", e.what(), "ftrun COMMAND --help shows what is needed");
  } catch (const CLI::ParseError& e) {
    const std::string text = e.what();
    const size_t colon = text.find(": ");
    throw Error(2003, colon == std::string::npos ? "command line" : text.substr(0, colon),
                colon == std::string::npos ? text : text.substr(colon + 2), "ftrun COMMAND --help shows what is allowed");
  }
  if (app.get_subcommands().empty()) {
    fmt::print("{}", app.help());
    return false;
  }
  out.command = app.get_subcommands()[0]->get_name();
  check_words(out);
  return true;
}

}  // namespace ft::app
