// VGG16 (configuration D, no batch-norm): thirteen 3x3 convolutions in five blocks, each ended by a pool, and three
// fully connected layers. Names are torchvision's modules. The two variants have the same parameters; Keras's has no
// dropout and wants other images. Source: Simonyan & Zisserman 2014; torchvision.models.vgg16.
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "models/model.h"

namespace ft {
namespace {

// torchvision counts every module of a Sequential; Keras's form leaves the numbers of the dropouts out.
Model build(const ModelInfo& info, bool dropout, int64_t classes, int height, int width) {
  Model m;
  m.name = info.name;
  Graph& g = m.graph;
  m.image = g.image_input("image", 3, height, width);
  ValueId v = m.image;
  int index = 0;
  const auto add = [&](const std::string& part, std::unique_ptr<Layer> layer) {
    v = g.add(part + std::to_string(index++), std::move(layer), {v});
  };
  const int64_t channels[] = {64, 128, 256, 512, 512};
  const int convolutions[] = {2, 2, 3, 3, 3};
  for (int block = 0; block < 5; ++block) {
    for (int i = 0; i < convolutions[block]; ++i) {
      add("features.", std::make_unique<Conv2d>(Conv2dConfig{channels[block], 3, 1, 1, 1, true}));
      add("features.", std::make_unique<Relu>());
    }
    m.feature_map = v;
    add("features.", std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 2, 2, 0));
  }
  v = g.add("avgpool", std::make_unique<AdaptiveAvgPool2d>(7, 7), {v});
  v = g.add("flatten", std::make_unique<Flatten>(), {v});
  index = 0;
  for (int hidden = 0; hidden < 2; ++hidden) {
    add("classifier.", std::make_unique<Linear>(4096));
    add("classifier.", std::make_unique<Relu>());
    if (dropout)
      add("classifier.", std::make_unique<Dropout>(0.5));
    else
      ++index;
  }
  add("classifier.", std::make_unique<Linear>(classes, Init::Kind::glorot_uniform));
  finish_model(m, v, "classifier.6");
  return m;
}

}  // namespace

Model build_vgg16(const ModelInfo& info, int64_t classes, int height, int width) {
  return build(info, true, classes, height, width);
}

Model build_vgg16_keras(const ModelInfo& info, int64_t classes, int height, int width) {
  return build(info, false, classes, height, width);
}

}  // namespace ft
