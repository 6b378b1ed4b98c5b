// Names, hashes and sizes as torchvision/models/{alexnet,resnet,vgg}.py publish them ("url" and "_file_size").
#include "apps/convert/published.h"

#include <algorithm>
#include <cmath>
#include <iterator>

namespace ft::convert {
namespace {

constexpr Published kPublished[] = {
    {"alexnet-owt-7be5be79.pth", "7be5be79", "alexnet-tv", "torchvision IMAGENET1K_V1", 256, 1,
     233.087},
    {"resnet50-0676ba61.pth", "0676ba61", "resnet50", "torchvision IMAGENET1K_V1", 256, 1, 97.781},
    {"resnet50-11ad3fa6.pth", "11ad3fa6", "resnet50", "torchvision IMAGENET1K_V2", 232, 2, 97.790},
    {"vgg16-397923af.pth", "397923af", "vgg16", "torchvision IMAGENET1K_V1", 256, 1, 527.796},
};

const Published* at(const Published* found) {
  return found == std::end(kPublished) ? nullptr : found;
}

}  // namespace

const Published* published_under(std::string_view file_name) {
  return at(std::ranges::find(kPublished, file_name, &Published::file));
}

const Published* published_with(std::string_view sha256) {
  return at(std::ranges::find(kPublished, sha256.substr(0, 8), &Published::digits));
}

const Published* published_release(std::string_view model, int release) {
  return at(std::ranges::find_if(
      kPublished, [&](const Published& p) { return p.model == model && p.release == release; }));
}

InputRecipe published_recipe(const ModelInfo& info, int height, int width) {
  const ModelRecipe& r = info.recipe;
  InputRecipe recipe;
  recipe.height = height;
  recipe.width = width;
  recipe.resize = ResizeMode::crop;
  recipe.short_side = static_cast<int>(
      std::lround(static_cast<double>(std::max(height, width)) * r.short_side / r.input_size));
  recipe.colour_order = r.bgr ? ColourOrder::bgr : ColourOrder::rgb;
  recipe.scale = r.scale;
  std::copy_n(r.mean, 3, recipe.mean.begin());
  std::copy_n(r.deviation, 3, recipe.std.begin());
  return recipe;
}

}  // namespace ft::convert
