// Inference over a list of images.
#include "apps/ftrun/evaluator.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

namespace ft::app {
namespace {

CompileOptions inference(const Network& network, const Feed& feed, const NumericsPolicy& numerics,
                         int64_t batch) {
  CompileOptions options;
  options.batch = batch;
  options.mode = Mode::inference;
  options.numerics = numerics;
  options.to = network.model.logits;
  feed.set_start(options);
  return options;
}

}  // namespace

ImageResult judge(std::span<const float> logits, int64_t sample, int label) {
  ImageResult out;
  out.sample = sample;
  out.label = label;
  out.predicted = static_cast<int>(std::ranges::max_element(logits) - logits.begin());
  const double top = logits[static_cast<size_t>(out.predicted)];
  double sum = 0;
  for (float z : logits) out.p.push_back(std::exp(z - top));
  for (double e : out.p) sum += e;
  for (double& e : out.p) e /= sum;
  if (label >= 0) out.loss = std::log(sum) + top - logits[static_cast<size_t>(label)];
  return out;
}

Evaluator::Evaluator(Network& network, Backend& backend, Feed& feed, const NumericsPolicy& numerics,
                     int64_t batch)
    : network_(network),
      backend_(backend),
      feed_(feed),
      batch_(batch),
      compiled_(network.model.graph, backend, inference(network, feed, numerics, batch)),
      logits_(static_cast<size_t>(batch * network.model.classes)) {}

void Evaluator::bind(const Tensor& arena, const Tensor& state) {
  executor_ = std::make_unique<Executor>(compiled_, *network_.parameters, backend_, arena, state);
}

void Evaluator::forward(const Rows& rows, StreamRef s) {
  feed_.load(rows, 0, rows.batch.size(), *executor_, s);
  executor_->forward(s);
  backend_.download(s, executor_->value(network_.model.logits), logits_.data());
  backend_.synchronize(s);
}

std::vector<ImageResult> Evaluator::run(std::span<const Sample> samples, const Decode& decode,
                                        int workers, StreamRef s,
                                        const std::function<void(int64_t)>& progress,
                                        FeatureStore* store) {
  LoaderOptions options;
  options.batch = batch_;
  options.height = network_.recipe.height;
  options.width = network_.recipe.width;
  options.shuffle = Shuffle::never;
  options.workers = workers;
  const bool stored = store != nullptr && store->complete();
  Loader loader(samples, stored ? read_features(*store) : decode,
                stored ? feature_rows(options, *store) : options);
  loader.start(0);
  const size_t classes = static_cast<size_t>(network_.model.classes);
  std::vector<ImageResult> out;
  out.reserve(samples.size());
  while (const Batch* batch = loader.next()) {
    forward({*batch, stored, store}, s);
    for (size_t i = 0; i < static_cast<size_t>(batch->size()); ++i)
      out.push_back(judge(std::span(logits_).subspan(i * classes, classes), batch->samples[i],
                          batch->labels[i]));
    if (progress) progress(static_cast<int64_t>(out.size()));
  }
  FT_CHECK(out.size() == samples.size(), "every image is counted exactly once");
  return out;
}

double Evaluator::measure(StreamRef s) {
  backend_.fill_zero(s, executor_->value(feed_.start()));
  executor_->forward(s);
  backend_.synchronize(s);
  const auto start = std::chrono::steady_clock::now();
  executor_->forward(s);
  backend_.synchronize(s);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace ft::app
