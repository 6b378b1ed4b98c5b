// Runs of ftrun on the simulated device: images and weights for them, what they left, and how far two of them are apart.
// Pure functions over files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "io/weights.h"

namespace ft::test {

// The first `train` images and the first for validation of so many of demo-data's classes (1 to 4).
void draw_images(const std::filesystem::path& to, int classes, int train);

struct RunResults {
  std::vector<double> losses;  // of metrics.csv: training and validation, in order
  std::vector<double>
      predictions;  // of predictions.csv: both probabilities and the loss of every image
  WeightFile last;  // last.h5: parameters and running statistics
};
RunResults read_results(const std::filesystem::path& run);

// The largest differences: of losses relative to their size; of predictions; (relative to those above 1) and of what became of a tensor since
// `start`: |a - b| / |b - start| in L2, where the last bit of the numbers themselves does not count. A tensor that did
// not move in one of them has to be where it was in both, else the distance is infinite.
struct RunDistance {
  double losses = 0, predictions = 0, tensors = 0;
  double unseen =
      0;  // the largest share of what became of a tensor that the last bit of its numbers hides
  std::string worst, least_seen;  // tensors
};
RunDistance distance(const RunResults& a, const RunResults& b, const WeightFile& start);

// A network to start from: drawn weights, conditioned as the parity tests have them, `gain` for all but the classifier,
// which is the one that a run with seed 0 draws anew.
WeightFile drawn_weights(const std::string& model, int side, double gain);

// Number of a line "NUMBER WHAT" of a file of counts (sim.h); 0: no such line.
int64_t count_of(const std::filesystem::path& counts, const std::string& what);

}  // namespace ft::test
