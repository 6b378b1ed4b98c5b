// The start-up self-test: a weight file holds what its network said to a drawn picture when it was written, and whoever
// loads it lets the network say it again. That finds weights or a recipe that were changed since, and a version of ftrun
// or a library that computes something else; it cannot find the wrong variant of a network, which says the same to both.
// Always in f32, whatever the run computes in. The picture and its way to the input: docs/weights-format.md.
#pragma once

#include <string>

#include "apps/ftrun/network.h"

namespace ft::app {

// The largest distance that passes: norm of the difference of the logits over norm of those in the file. Two backends
// differ by 1e-5 at most; see docs/weights-format.md for what changes do.
constexpr double kSelfTestBound = 1e-3;

// Gives `file` a golden picture and its logits. The second form computes with `parameters`, which hold the numbers of the
// file; the first brings them to the backend itself and, where the backend's memory is the host's, takes them out of
// the file meanwhile, so that they lie in memory once. Both wait for `s`. Returns "", or why the file goes without:
// a network is worth more than its self-test.
std::string add_golden(WeightFile& file, Backend& backend, StreamRef s);
std::string add_golden(WeightFile& file, ParameterSet& parameters, Backend& backend, StreamRef s);

// Compares. `body` has the file's numbers in all parameters but those of the head, which may be another and is taken
// from the file. Waits for `s`. Returns what a header says of it. Throws Error 2331 if the logits are others, 2313 if
// the network cannot take the golden picture.
std::string self_test(const WeightFile& file, ParameterSet& body, Backend& backend, StreamRef s);

// load_weights(), load_network() and, if `test`, self_test(), whose result is put into `told`.
Network load_tested(const std::string& path, bool test, Backend& backend, StreamRef s,
                    std::string* told = nullptr);

}  // namespace ft::app
