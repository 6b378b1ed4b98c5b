// From the tensors of somebody else's file to a network of ours: which one it is and how that is known, each tensor used
// exactly once, and a row for whatever was done to it. Plain values; pure functions.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/convert/naming.h"
#include "apps/convert/published.h"
#include "io/input_recipe.h"
#include "io/source_tensor.h"
#include "io/weights.h"

namespace ft::convert {

struct Request {
  std::string path;    // for messages
  std::string sha256;  // of the whole file
  std::string model;   // as given to --model; "": deduced
  uint64_t seed = 0;   // of a classifier that the file does not have
};

enum class Step : uint8_t {
  loaded,    // as it is
  reshaped,  // its numbers put into our order
  folded,  // a convolution's bias, or the difference of two epsilons, went into a running statistic
  fresh,   // drawn: the file has no classifier
};

struct Row {
  std::string name;    // ours
  std::string source;  // in the file; "" if it is new
  Step step = Step::loaded;
};

struct Conversion {
  std::string model;
  std::string known_by;  // "the hash of resnet50-0676ba61.pth (torchvision IMAGENET1K_V1)"
  std::string prefix;    // that all names of the file had and lost: "module."
  std::string epsilon;   // what was done about epsilon; "" if nothing
  int64_t classes = 0;
  InputRecipe recipe;
  std::vector<std::string> class_names;  // where the file says them
  std::vector<NamedTensor> tensors;      // in the order of the graph
  std::vector<Row> rows;                 // one a tensor
  std::vector<std::string> skipped;      // of the file: counters that inference does not need
};

// Throws Error 2020 for an unknown --model, 2320 where the tensors do not fit, 2353 if no network has such tensors,
// 2354 if several have (--model has to say which), 2355 if --model contradicts what the file is known to be, 2387 if an
// export of ftrun says impossible things of itself, and what reading a tensor throws.
Conversion convert(const SourceFile& source, const Request& request);

}  // namespace ft::convert
