// A golden file of tests/golden/parity, read: what PyTorch computed for one network. scripts/golden/parity.py writes
// them. Values; failures throw.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "tests/parity/drawn.h"

namespace ft::parity {

// A batch of drawn images.
struct Images {
  int64_t batch = 1;
  int height = 0, width = 0;
  uint64_t seed = 0;
};

struct LogitsCase {  // evaluation
  Images images;
  std::vector<double> values;  // {N, classes}
};

struct StepCase {  // one pass in training mode, dropout 0
  Images images;
  double loss = 0;
  std::map<std::string, Digest> gradients, statistics;  // by name; statistics as the pass left them
};

struct RunCase {  // some steps of SGD by PyTorch's rule, always on the same batch
  std::string name;
  Images images;
  double rate = 0, momentum = 0, l2 = 0;
  std::vector<double> rate_factors;  // one a step
  std::string unfreeze;              // empty: all layers train
  double head_factor = 1;
  uint64_t dropout_seed = 0;  // 0: dropout 0
  std::vector<double> losses;

  bool drops() const { return dropout_seed != 0; }
};

struct Golden {
  std::string network;
  int64_t classes = 0;
  double image_scale = 1, gain = 1, head_gain = 1;  // of the drawn images and weights
  std::vector<LogitsCase> logits;
  std::vector<StepCase> steps;
  std::vector<RunCase> runs;
};

// Throws if the file cannot be read or is none of parity.py's.
Golden read_golden(const std::filesystem::path& file);

}  // namespace ft::parity
