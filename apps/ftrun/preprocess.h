// From files to the pixels of a batch, as a recipe says, for any number of loader threads.
#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "apps/ftrun/options.h"
#include "io/input_recipe.h"
#include "io/loader.h"
#include "io/prescan.h"

namespace ft::app {

// Decodes and resizes. `random_crop` (a recipe with crop): the window lies anywhere, by (seed, epoch, sample), instead of
// in the centre. Safe on several threads; buffers are pooled, so that nothing is allocated once the sizes of a dataset
// have been seen.
Decode make_decode(const InputRecipe& recipe, bool random_crop, uint64_t seed);

// Decodes a file in full and drops the pixels: what the check before step 1 does with every image.
CheckFile make_check();

// Scans the folders and checks every image. Throws Error 21xx and 22xx; what was skipped is in the result.
// `expected_classes` not empty: the classes of an existing network. `out` not empty: the output folder of the run; where
// a message would show only some of what is wrong, all of it is listed in a problems.txt there.
Prescanned find_data(const DataOptions& options, const std::vector<std::string>& expected_classes,
                     const std::filesystem::path& out = {});

// The folders that `options` names: an output must not lie in one of them.
std::vector<std::filesystem::path> input_folders(const DataOptions& options);

// Mean of every channel (R, G, B; 0-255) over the images as the network sees them.
std::array<double, 3> mean_of(std::span<const Sample> samples, const InputRecipe& recipe,
                              int workers);

}  // namespace ft::app
