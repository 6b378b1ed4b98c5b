// ftrun predict: class probabilities of images and folders.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/evaluator.h"
#include "apps/ftrun/image_files.h"
#include "apps/ftrun/preprocess.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/self_test.h"

namespace ft::app {
namespace {

std::vector<int> best_classes(const ImageResult& r, int top) {
  std::vector<int> order(r.p.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int a, int b) {
    return r.p[static_cast<size_t>(a)] > r.p[static_cast<size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<size_t>(top)));
  return order;
}

// The number whose shortest decimal form is that of the 32-bit float: JSON then says 0.9734568, not
// 0.97345679998397827.
double shortest_float(double p) { return std::stod(fmt::format("{}", static_cast<float>(p))); }

void print_result(const Sample& sample, const ImageResult& r, const Network& network,
                  const PredictOptions& o) {
  const std::vector<int> best = best_classes(r, o.top);
  if (o.json) {
    nlohmann::ordered_json top = nlohmann::ordered_json::array();
    for (int c : best)
      top.push_back({{"index", c},
                     {"class", network.classes[static_cast<size_t>(c)]},
                     {"p", shortest_float(r.p[static_cast<size_t>(c)])}});
    const nlohmann::ordered_json line = {{"file", sample.path}, {"top", top}};
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  std::string text;
  for (int c : best)
    text += fmt::format("  {} {:.1f} %", escape(network.classes[static_cast<size_t>(c)]),
                        100 * r.p[static_cast<size_t>(c)]);
  fmt::print("{}{}\n", escape(sample.path), text);
}

}  // namespace

int run_predict(const PredictOptions& o) {
  const OpenDevice chosen = open_device(o.common);
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  Network network = load_tested(o.weights, !o.no_self_test, backend, stream->ref());
  const std::vector<Sample> samples =
      check_image_files(collect_image_files(o.files), o.bad_images == "skip", o.workers);
  const int64_t batch = std::min<int64_t>(o.batch, static_cast<int64_t>(samples.size()));
  const NumericsPolicy numerics = numerics_of(o.common, backend);
  Feed feed(network, backend, numerics, batch);
  Evaluator evaluator(network, backend, feed, numerics, batch);
  evaluator.bind(make_arena(backend, {&evaluator.compiled()}), make_step_state(backend));
  Progress progress("predicting", static_cast<int64_t>(samples.size()));
  const std::vector<ImageResult> results =
      evaluator.run(samples, make_decode(network.recipe, false, 0), o.workers, stream->ref(),
                    [&](int64_t done) { progress.update(done); });
  progress.finish();
  for (size_t i = 0; i < results.size(); ++i) print_result(samples[i], results[i], network, o);
  return 0;
}

}  // namespace ft::app
