// AlexNet in its two published forms. They differ in more than names: channels, groups, LRN, padding of
// the first convolution, place of the dropouts.
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/lrn.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "models/model.h"

namespace ft {
namespace {

std::unique_ptr<Layer> max_pool() {
  return std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 3, 2, 0);
}

std::unique_ptr<Layer> conv(int64_t out, int64_t kernel, int64_t stride, int64_t pad,
                            int64_t groups) {
  return std::make_unique<Conv2d>(Conv2dConfig{out, kernel, stride, pad, groups, true});
}

}  // namespace

// BVLC / MATLAB: 227x227, two groups in conv2, conv4 and conv5, LRN after the first two ReLUs, dropout
// after relu6 and relu7. Names are Caffe's and MATLAB's. Source: BVLC reference AlexNet, deploy.prototxt.
Model build_alexnet(const ModelInfo& info, int64_t classes, int height, int width) {
  Model m;
  m.name = info.name;
  Graph& g = m.graph;
  m.image = g.image_input("data", 3, height, width);
  const auto lrn = [] { return std::make_unique<Lrn>(5, 1e-4, 0.75, 1.0); };
  ValueId v = g.add("conv1", conv(96, 11, 4, 0, 1), {m.image});
  v = g.add("relu1", std::make_unique<Relu>(), {v});
  v = g.add("norm1", lrn(), {v});
  v = g.add("pool1", max_pool(), {v});
  v = g.add("conv2", conv(256, 5, 1, 2, 2), {v});
  v = g.add("relu2", std::make_unique<Relu>(), {v});
  v = g.add("norm2", lrn(), {v});
  v = g.add("pool2", max_pool(), {v});
  v = g.add("conv3", conv(384, 3, 1, 1, 1), {v});
  v = g.add("relu3", std::make_unique<Relu>(), {v});
  v = g.add("conv4", conv(384, 3, 1, 1, 2), {v});
  v = g.add("relu4", std::make_unique<Relu>(), {v});
  v = g.add("conv5", conv(256, 3, 1, 1, 2), {v});
  v = m.feature_map = g.add("relu5", std::make_unique<Relu>(), {v});
  v = g.add("pool5", max_pool(), {v});
  v = g.add("flatten", std::make_unique<Flatten>(), {v});
  v = g.add("fc6", std::make_unique<Linear>(4096), {v});
  v = g.add("relu6", std::make_unique<Relu>(), {v});
  v = g.add("drop6", std::make_unique<Dropout>(0.5), {v});
  v = g.add("fc7", std::make_unique<Linear>(4096), {v});
  v = g.add("relu7", std::make_unique<Relu>(), {v});
  v = g.add("drop7", std::make_unique<Dropout>(0.5), {v});
  v = g.add("fc8", std::make_unique<Linear>(classes, Init::Kind::glorot_uniform), {v});
  finish_model(m, v, "fc8");
  return m;
}

// torchvision: 224x224, no groups, no LRN, adaptive average pooling to 6x6 so that any input of 63 and
// more works, dropout before the first two fully connected layers. Names are torchvision's modules.
// Source: torchvision.models.alexnet.
Model build_alexnet_tv(const ModelInfo& info, int64_t classes, int height, int width) {
  Model m;
  m.name = info.name;
  Graph& g = m.graph;
  m.image = g.image_input("image", 3, height, width);
  ValueId v = m.image;
  int index = 0;  // torchvision counts every module of the Sequential
  const auto feature = [&](std::unique_ptr<Layer> layer) {
    v = g.add("features." + std::to_string(index++), std::move(layer), {v});
  };
  feature(conv(64, 11, 4, 2, 1));
  feature(std::make_unique<Relu>());
  feature(max_pool());
  feature(conv(192, 5, 1, 2, 1));
  feature(std::make_unique<Relu>());
  feature(max_pool());
  feature(conv(384, 3, 1, 1, 1));
  feature(std::make_unique<Relu>());
  feature(conv(256, 3, 1, 1, 1));
  feature(std::make_unique<Relu>());
  feature(conv(256, 3, 1, 1, 1));
  feature(std::make_unique<Relu>());
  m.feature_map = v;
  feature(max_pool());
  v = g.add("avgpool", std::make_unique<AdaptiveAvgPool2d>(6, 6), {v});
  v = g.add("flatten", std::make_unique<Flatten>(), {v});
  v = g.add("classifier.0", std::make_unique<Dropout>(0.5), {v});
  v = g.add("classifier.1", std::make_unique<Linear>(4096), {v});
  v = g.add("classifier.2", std::make_unique<Relu>(), {v});
  v = g.add("classifier.3", std::make_unique<Dropout>(0.5), {v});
  v = g.add("classifier.4", std::make_unique<Linear>(4096), {v});
  v = g.add("classifier.5", std::make_unique<Relu>(), {v});
  v = g.add("classifier.6", std::make_unique<Linear>(classes, Init::Kind::glorot_uniform), {v});
  finish_model(m, v, "classifier.6");
  return m;
}

}  // namespace ft
