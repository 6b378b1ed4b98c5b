// The list of models, their recipes, and building one by name.
#include <algorithm>

#include <fmt/format.h>

#include "layers/softmax_cross_entropy.h"
#include "models/model.h"
#include "models/patterns.h"

namespace ft {
namespace {

// torchvision evaluation: /255, ImageNet mean and deviation, RGB.
constexpr ModelRecipe kTorchvision{
    224, 256, false, 1.0 / 255, {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}};
// Caffe's AlexNet: BGR 0-255 minus the mean of its mean image, 256 then 227.
constexpr ModelRecipe kCaffe227{227, 256, true, 1, {104.00699, 116.66877, 122.67891}, {1, 1, 1}};
// Keras "caffe" mode: BGR 0-255 minus the ImageNet mean.
constexpr ModelRecipe kKerasCaffe{224, 256, true, 1, {103.939, 116.779, 123.68}, {1, 1, 1}};

}  // namespace

const std::vector<ModelInfo>& all_models() {
  static const std::vector<ModelInfo> models = {
      {"alexnet", "BVLC reference AlexNet: groups, LRN, 227x227, BGR minus mean", 227, true,
       kCaffe227, build_alexnet},
      {"alexnet-tv", "torchvision AlexNet: no groups, no LRN, RGB mean and deviation", 63, false,
       kTorchvision, build_alexnet_tv},
      {"resnet50", "ResNet-50 v1.5 (torchvision): stride in the 3x3 convolution", 32, false,
       kTorchvision, build_resnet50},
      {"resnet50-v1",
       "ResNet-50 v1 (He et al., Keras, MATLAB): stride in the first 1x1 convolution", 32, false,
       kKerasCaffe, build_resnet50_v1},
      {"vgg16", "VGG16 (torchvision): dropout behind the hidden layers, RGB mean and deviation", 32,
       false, kTorchvision, build_vgg16},
      {"vgg16-keras", "VGG16 (Keras): no dropout, BGR minus mean", 32, false, kKerasCaffe,
       build_vgg16_keras},
  };
  return models;
}

const ModelInfo& find_model(std::string_view name) {
  std::vector<std::string> names;
  for (const ModelInfo& m : all_models()) {
    if (m.name == name) return m;
    names.push_back(m.name);
  }
  std::string list;
  for (const std::string& n : names) list += (list.empty() ? "" : ", ") + n;
  const std::string near = nearest_name(std::string(name), names);
  throw Error(2020, "--model", fmt::format("there is no model \"{}\"", name),
              (near.empty() ? "" : "did you mean " + near + "? ") + ("models: " + list));
}

Model build_model(const ModelInfo& info, int64_t classes, int height, int width) {
  const bool too_small = std::min(height, width) < info.minimum_size;
  // Three pools of 3x3 with stride 2 behind an 11x11 convolution with stride 4: 6x6 needs 227 to 258.
  const bool wrong_map = info.fixed_map && (height > 258 || width > 258);
  if (too_small || wrong_map)
    throw Error(
        2421, "--input-size", fmt::format("{} cannot take {}x{} images", info.name, width, height),
        info.fixed_map
            ? fmt::format("use a size from {} to 258, which give its 6x6 map", info.minimum_size)
            : fmt::format("use {} or more", info.minimum_size));
  Model model = info.build(info, classes, height, width);
  model.classes = classes;
  model.height = height;
  model.width = width;
  return model;
}

void finish_model(Model& model, ValueId logits, const std::string& head) {
  model.logits = logits;
  model.head = head;
  model.labels = model.graph.label_input("labels");
  model.loss =
      model.graph.add("loss", std::make_unique<SoftmaxCrossEntropy>(), {logits, model.labels});
}

}  // namespace ft
