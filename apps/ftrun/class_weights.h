// --class-weights: how much an image of each class counts in the training loss. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ft::app {

// "" if `text` is none, balanced, or NAME=W,NAME=W,…; else what is wrong with it.
std::string check_class_weights(const std::string& text);

// A weight a class; empty for none. balanced: images / (classes * images of the class), so that every class counts the
// same; counts are of the training images. By name: 1 for classes that are not named. Throws Error 2028 for a class that
// the dataset does not have, or if no class counts.
std::vector<double> class_weights(const std::string& text, std::span<const std::string> classes,
                                  std::span<const int64_t> counts);

}  // namespace ft::app
