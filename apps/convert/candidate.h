// A network that a file may hold: its graph at the published size, and the array of the file that each of its parameters
// would be. Building one reads no numbers.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "apps/convert/array_layout.h"
#include "apps/convert/naming.h"
#include "io/weights_match.h"
#include "models/model.h"

namespace ft::convert {

// Where one parameter comes from.
struct Origin {
  std::string source;  // name in the file
  ArrayLayout layout;
  bool fresh = false;  // the file has no such layer, and may lack it
  std::string bias;    // running means: the bias of the convolution in front, if the file has one
  double epsilon = 0;  // running variances: to be added, the file's epsilon less ours
};

struct Candidate {
  const ModelInfo* info = nullptr;
  Naming naming = Naming::own;
  Model model;
  std::vector<Origin> origins;       // by parameter
  std::vector<std::string> skipped;  // of the file
  std::vector<ExpectedTensor> expected;
  WeightFile file;    // names and shapes of the file, without its numbers
  LoadReport report;  // against these

  // Throws Error 2320 with three lists and a hint unless the report fits.
  void require_fit() const;
};

// The tensors of a file by the names that they have without a prefix.
using SourceMap = std::map<std::string, const SourceTensor*>;

Candidate make_candidate(const ModelInfo& info, Naming naming, const SourceFile& source,
                         const SourceMap& tensors, const std::string& path);

}  // namespace ft::convert
