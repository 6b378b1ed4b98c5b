// Files of a dataset that are the same byte for byte: in one class, in two classes, in two splits.
// Only files of equal size are read, each once.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "io/dataset.h"

namespace ft {

// Paths of equal files, in the order of the dataset, at least two.
using SameFiles = std::vector<std::string>;

// A group stands in every list that it belongs to.
struct Duplicates {
  std::vector<SameFiles> in_one_class;     // of one split: harmless, counts double
  std::vector<SameFiles> between_classes;  // one picture with two labels
  std::vector<SameFiles> between_splits;   // what is tested was trained on
};

// Compares size, then SHA-256, on up to `threads` threads.
// Throws Error 2231 to 2237, 5015 or 5030 if a file changed or cannot be read; one
// that is gone altogether is left to whoever decodes it.
Duplicates find_duplicates(const Dataset& data, int threads,
                           const std::function<void(int64_t done, int64_t total)>& progress = {});

// Warns about the harmless ones and throws DatasetError 2226 (between classes) or 2227 (between
// splits, unless allow_overlap, which makes it a warning that the results are contaminated).
void judge_duplicates(const Duplicates& duplicates, bool allow_overlap, ScanNotes* notes);

}  // namespace ft
