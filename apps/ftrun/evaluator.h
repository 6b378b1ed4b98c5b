// Runs a network over images at one fixed batch size and gives class probabilities, one answer an image in
// the order of the samples. The last batch is padded, so that every image is computed by the same plan.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "apps/ftrun/network.h"
#include "io/loader.h"
#include "layers/executor.h"

namespace ft::app {

struct ImageResult {
  int64_t sample = 0;  // index into the samples given
  int label = -1;      // true class, -1 unknown
  int predicted = -1;  // lowest index wins a tie
  double loss = 0;     // cross-entropy, where the label is known
  std::vector<double> p;  // softmax, in double
};

// Softmax of one row in double: no overflow, lowest index wins ties in `predicted`.
ImageResult judge(std::span<const float> logits, int64_t sample, int label);

class Evaluator {
 public:
  Evaluator(Network& network, Backend& backend, const NumericsPolicy& numerics, int64_t batch);
  // Arena of compiled().arena_bytes() or more, shared with whatever does not run at the same time.
  void bind(const Tensor& arena, const Tensor& state);

  // All samples in order. `decode` fills one image; `workers` threads decode ahead. `progress` is called
  // after every batch with the number of images done.
  std::vector<ImageResult> run(std::span<const Sample> samples, const Decode& decode, int workers,
                              StreamRef s, const std::function<void(int64_t)>& progress = {});

  // Seconds of one forward pass over a batch, measured on what happens to lie in memory.
  double measure(StreamRef s);

  const CompiledGraph& compiled() const { return compiled_; }
  int64_t batch() const { return batch_; }

 private:
  void forward(const Batch& batch, StreamRef s);

  Network& network_;
  Backend& backend_;
  int64_t batch_;
  CompiledGraph compiled_;
  std::unique_ptr<Executor> executor_;
  NormalizeSpec normalize_;
  Tensor pixels_;
  std::vector<float> logits_;
};

}  // namespace ft::app
