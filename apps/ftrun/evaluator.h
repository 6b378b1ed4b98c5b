// Runs a network over images at one fixed batch size and gives class probabilities, one answer an image in
// the order of the samples. The last batch is padded, so that every image is computed by the same plan.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "apps/ftrun/feed.h"
#include "layers/executor.h"

namespace ft::app {

struct ImageResult {
  int64_t sample = 0;     // index into the samples given
  int label = -1;         // true class, -1 unknown
  int predicted = -1;     // lowest index wins a tie
  double loss = 0;        // cross-entropy, where the label is known
  std::vector<double> p;  // softmax, in double
};

// Softmax of one row in double: no overflow, lowest index wins ties in `predicted`.
ImageResult judge(std::span<const float> logits, int64_t sample, int label);

class Evaluator {
 public:
  // `feed` takes `batch` rows, and decides what is compiled here: the network, or what lies behind its front.
  Evaluator(Network& network, Backend& backend, Feed& feed, const NumericsPolicy& numerics,
            int64_t batch);
  // Arena of compiled().arena_bytes() or more, shared with whatever does not run at the same time.
  void bind(const Tensor& arena, const Tensor& state);

  // All samples in order. `decode` fills one image; `workers` threads decode ahead. `progress` is called
  // after every batch with the number of images done. With a store that has all rows, features come from there
  // and nothing is decoded; any other store is filled.
  std::vector<ImageResult> run(std::span<const Sample> samples, const Decode& decode, int workers,
                               StreamRef s, const std::function<void(int64_t)>& progress = {},
                               FeatureStore* store = nullptr);

  // Seconds of one forward pass over a batch, from where the feed starts it, measured on what happens to lie
  // in memory.
  double measure(StreamRef s);

  const CompiledGraph& compiled() const { return compiled_; }
  int64_t batch() const { return batch_; }

 private:
  void forward(const Rows& rows, StreamRef s);

  Network& network_;
  Backend& backend_;
  Feed& feed_;
  int64_t batch_;
  CompiledGraph compiled_;
  std::unique_ptr<Executor> executor_;
  std::vector<float> logits_;
};

}  // namespace ft::app
