// Population statistics of batch-norms, as MATLAB computes them after training: mean and variance over all training
// images, in place of the running ones, which forget all but the last few batches. Each batch is normalised by its own
// statistics, as in training; theirs are put together exactly (law of total variance).
//   PopulationStatistics p(executor's graph, parameters);
//   for every batch: p.before(s); executor.forward(s); p.after(s);     p.write(s);
#pragma once

#include <vector>

#include "layers/compile.h"

namespace ft::app {

class PopulationStatistics {
 public:
  // All batch-norms that use statistics of the batch in a training compilation. Graph and parameters outlive this.
  PopulationStatistics(const CompiledGraph& training, ParameterSet& parameters);

  bool empty() const { return layers_.empty(); }
  // `now`: the compilation that runs, of any batch size of the same network.
  void before(StreamRef s);
  void after(const CompiledGraph& now, StreamRef s);
  // Makes them the running statistics. At least one batch has been seen.
  void write(StreamRef s);

 private:
  struct LayerStatistics {
    ValueId output;
    int mean, variance;  // parameters
    double momentum;
    double count = 0;                    // positions of a channel so far
    std::vector<double> means, squares;  // a channel: mean, and sum of squared distances from it
  };
  ParameterSet& parameters_;
  std::vector<LayerStatistics> layers_;
};

}  // namespace ft::app
