// From files to the pixels of a batch, as a recipe says, for any number of loader threads.
#pragma once

#include <array>
#include <functional>
#include <span>
#include <string>

#include "apps/ftrun/options.h"
#include "io/input_recipe.h"
#include "io/loader.h"
#include "io/prescan.h"

namespace ft::app {

// What changes from epoch to epoch, drawn by (seed, epoch, sample).
struct Augmentation {
  bool flip = false;         // mirrored in half of the cases
  bool random_crop = false;  // recipe crop: the window anywhere instead of in the centre
  bool any() const { return flip || random_crop; }
};

// Decodes and resizes. Safe on several threads; buffers are pooled, so that nothing is allocated once the sizes of a
// dataset have been seen.
Decode make_decode(const InputRecipe& recipe, const Augmentation& augmentation, uint64_t seed);

// Decodes a file in full and drops the pixels: what the check before step 1 does with every image.
CheckFile make_check();

// Scans the folders and checks every image. Throws Error 21xx and 22xx; what was skipped is in the result.
// `expected_classes` not empty: the classes of an existing network.
Prescanned find_data(const DataOptions& options, const std::vector<std::string>& expected_classes);

// Mean of every channel (R, G, B; 0-255) over the images as the network sees them.
std::array<double, 3> mean_of(std::span<const Sample> samples, const InputRecipe& recipe, int workers);

}  // namespace ft::app
