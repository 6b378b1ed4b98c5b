// The published weight files that are known by their hash, and how published networks want their images. torchvision
// puts the first 8 hexadecimal digits of a file's SHA-256 into its name; the table holds no more than that. A constant
// table and pure functions.
#pragma once

#include <string_view>

#include "io/input_recipe.h"
#include "models/model.h"

namespace ft::convert {

struct Published {
  std::string_view file;    // "resnet50-0676ba61.pth"
  std::string_view digits;  // the first 8 of its SHA-256
  std::string_view model;   // as given to --model
  std::string_view title;   // "torchvision IMAGENET1K_V1"
  int short_side;           // evaluation resize before the centre crop of 224
  int release;              // 1: IMAGENET1K_V1
  double mib;               // size as torchvision says it, to three decimals
};

// The folder that the files lie in.
constexpr std::string_view kPublishedAt = "https://download.pytorch.org/models/";

// nullptr if there is none.
const Published* published_under(std::string_view file_name);
const Published* published_with(std::string_view sha256);
const Published* published_release(std::string_view model, int release);

// The recipe of a published network at this input size: its own short side in proportion.
InputRecipe published_recipe(const ModelInfo& info, int height, int width);

}  // namespace ft::convert
