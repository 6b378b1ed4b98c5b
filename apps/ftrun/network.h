// A model on a backend with its parameters, the recipe of its images and the names of its classes: what
// every command works with, and what a weight file holds.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/convert/published.h"
#include "io/weights.h"
#include "io/weights_match.h"
#include "layers/parameter_set.h"
#include "models/model.h"

namespace ft::app {

struct Network {
  Model model;
  InputRecipe recipe;
  std::vector<std::string> classes;
  std::unique_ptr<ParameterSet> parameters;  // made last, when freezing is decided
};

using convert::published_recipe;
// How a backend turns pixels into the input of this recipe.
NormalizeSpec normalize_spec(const InputRecipe& recipe);
// "crop 224x224 of short side 256, RGB, /255, mean 0.485 …": one line for headers.
std::string describe(const InputRecipe& recipe);

// Puts every tensor of the file into the network's parameters; those of the head stay as they were drawn
// where `new_head`. Strict: throws Error 2320 with three lists unless all else is used exactly once.
LoadReport load_parameters(Network& network, const WeightFile& file, bool new_head, StreamRef s);
// The network as a weight file.
WeightFile weight_file_of(const Network& network, StreamRef s);

// The network that the file describes, without parameters. Throws Error 2320 unless each of its tensors is in the file,
// with its shape, and nothing else.
Model model_of(const WeightFile& file);
// A network as its weight file describes it, ready to predict. Nothing trains.
Network load_network(const WeightFile& file, Backend& backend, StreamRef s);

}  // namespace ft::app
