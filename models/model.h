// What a model is to the rest of the program: a graph whose parameter names are the keys of its weight
// files, where its head is, what Grad-CAM looks at, and how its images are prepared.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "layers/graph.h"

namespace ft {

struct Model {
  std::string name;  // "resnet50"
  Graph graph;
  ValueId image = -1, labels = -1, logits = -1, loss = -1;
  ValueId feature_map = -1;  // last map with spatial extent, default of Grad-CAM
  std::string head;          // node of the classifier: its parameters are new for a new class list
  int64_t classes = 0;
  int height = 0, width = 0;
};

// How the published weights of a model expect their images; part of every weight file.
struct ModelRecipe {
  int input_size;  // side of the network's input
  int short_side;  // evaluation resize before the centre crop
  bool bgr;
  double
      scale;  // pixels are multiplied by this, then mean is subtracted, then divided by deviation
  double mean[3];  // in the order of the network's channels
  double deviation[3];
};

// One entry a model: its name on the command line, its variant and recipe, and how it is built.
struct ModelInfo {
  std::string name;
  std::string variant;  // one line: where this form of the network comes from
  int minimum_size;     // smallest square input that works
  bool fixed_map;       // only inputs that give the published map size work (BVLC AlexNet: 6x6)
  ModelRecipe recipe;
  Model (*build)(const ModelInfo& info, int64_t classes, int height, int width);
};

const std::vector<ModelInfo>& all_models();
// Throws Error 2020 with the list of models (and the nearest name) if there is none of that name.
const ModelInfo& find_model(std::string_view name);
// Builds `info` for this many classes and this input size. Throws Error 2421 for a size that the network
// cannot take, naming the sizes that it can.
Model build_model(const ModelInfo& info, int64_t classes, int height, int width);

// Parts for the builders.
Model build_alexnet(const ModelInfo& info, int64_t classes, int height, int width);  // BVLC
Model build_alexnet_tv(const ModelInfo& info, int64_t classes, int height,
                       int width);                                                    // torchvision
Model build_resnet50(const ModelInfo& info, int64_t classes, int height, int width);  // v1.5
Model build_resnet50_v1(const ModelInfo& info, int64_t classes, int height, int width);
Model build_vgg16(const ModelInfo& info, int64_t classes, int height, int width);  // torchvision
Model build_vgg16_keras(const ModelInfo& info, int64_t classes, int height, int width);

// Appends the loss behind `logits` and fills in the ends of the model.
void finish_model(Model& model, ValueId logits, const std::string& head);

}  // namespace ft
