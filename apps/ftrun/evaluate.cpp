// ftrun evaluate: how good a fine-tuned network is on a dataset.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/evaluator.h"
#include "apps/ftrun/preprocess.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/results.h"
#include "apps/ftrun/self_test.h"

namespace ft::app {
namespace {

// The splits to evaluate: the one asked for, else test, else val.
const Split& choose_split(const Dataset& data, const std::string& wanted) {
  for (const std::string& name :
       wanted.empty() ? std::vector<std::string>{"test", "val"} : std::vector<std::string>{wanted})
    if (const Split* s = data.find(name); s != nullptr && !s->samples.empty()) return *s;
  throw Error(2224, "--data",
              wanted.empty() ? "there is neither a test nor a val folder"
                             : "there is no " + wanted + " folder",
              "give --data with such a folder, or --val or --test");
}

}  // namespace

int run_evaluate(const EvaluateOptions& o) {
  const auto start = std::chrono::steady_clock::now();
  if (!o.out.empty()) refuse_run_folder(o.out, o.force, input_folders(o.data));
  const OpenDevice chosen = open_device(o.common);
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  fmt::print("device      {}: {}\n", backend.describe(), chosen.reason);
  std::string tested;
  Network network = load_tested(o.weights, !o.no_self_test, backend, stream->ref(), &tested);
  fmt::print("model       {}; input {}\n", network.model.name, describe(network.recipe));
  fmt::print("self-test   {}\n", tested);
  const Prescanned data = find_data(o.data, network.classes, o.out);
  const Split& split = choose_split(data.data, o.split);
  fmt::print("{:<11} {} images; {} bad ones skipped\n", split.name, split.samples.size(),
             data.skipped.size());
  std::optional<RunFolder> folder;
  if (!o.out.empty()) folder = make_run_folder(o.out, o.force, input_folders(o.data));
  const NumericsPolicy numerics = numerics_of(o.common, backend);
  Feed feed(network, backend, numerics, o.batch);
  Evaluator evaluator(network, backend, feed, numerics, o.batch);
  evaluator.bind(make_arena(backend, {&evaluator.compiled()}), make_step_state(backend));
  Progress progress("evaluating", static_cast<int64_t>(split.samples.size()));
  std::vector<ImageResult> results =
      evaluator.run(split.samples, make_decode(network.recipe, false, 0), o.data.workers,
                    stream->ref(), [&](int64_t done) { progress.update(done); });
  progress.finish();
  ResultWriter writer(folder ? &*folder : nullptr, network.classes);
  writer.add_split(split, std::move(results));
  if (folder && !data.skipped.empty()) writer.write_skipped(data.skipped);
  if (folder) writer.write_predictions();
  writer.print_and_write_confusion(o.print);
  if (folder)
    writer.write_pictures(o.print, data.data, network, backend, numerics, o.common.seed,
                          stream->ref());
  fmt::print("time        {}\n",
             duration_text(
                 std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count()));
  if (folder) writer.list_files();
  return 0;
}

}  // namespace ft::app
