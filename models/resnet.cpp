// ResNet-50, v1 and v1.5: the same shapes, but in v1 (He et al. 2015, Keras, MATLAB, Caffe) the stride 2 of
// stages 3 to 5 sits in the first 1x1 convolution, in v1.5 (torchvision) in the 3x3 one. The epsilon of the
// batch-norms differs as well. Names are torchvision's. Convolutions have no bias: a v1 importer folds
// its conv biases into the running means, which is exact.
#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "models/model.h"

namespace ft {
namespace {

struct Variant {
  bool stride_in_3x3;
  double epsilon;
  double momentum;  // share of the batch in a new running statistic
};

class Builder {
 public:
  Builder(Graph& graph, const Variant& variant) : graph_(graph), variant_(variant) {}

  ValueId conv_bn(const std::string& conv, const std::string& bn, ValueId x, int64_t out,
                  int64_t kernel, int64_t stride) {
    const Conv2dConfig config{out, kernel, stride, kernel / 2, 1, false};
    const ValueId y = graph_.add(conv, std::make_unique<Conv2d>(config), {x});
    return graph_.add(bn, std::make_unique<BatchNorm2d>(variant_.epsilon, variant_.momentum), {y});
  }

  ValueId relu(const std::string& name, ValueId x) {
    return graph_.add(name, std::make_unique<Relu>(), {x});
  }

  // 1x1 to `width`, 3x3, 1x1 to 4 * width, plus the shortcut (a projection where the shape changes).
  ValueId bottleneck(const std::string& name, ValueId x, int64_t width, int64_t stride,
                     bool project) {
    const int64_t first = variant_.stride_in_3x3 ? 1 : stride;
    const int64_t second = variant_.stride_in_3x3 ? stride : 1;
    ValueId v = relu(name + ".relu1", conv_bn(name + ".conv1", name + ".bn1", x, width, 1, first));
    v = relu(name + ".relu2", conv_bn(name + ".conv2", name + ".bn2", v, width, 3, second));
    v = conv_bn(name + ".conv3", name + ".bn3", v, 4 * width, 1, 1);
    const ValueId shortcut =
        project ? conv_bn(name + ".downsample.0", name + ".downsample.1", x, 4 * width, 1, stride)
                : x;
    return relu(name + ".relu", graph_.add(name + ".add", std::make_unique<Add>(), {v, shortcut}));
  }

 private:
  Graph& graph_;
  Variant variant_;
};

Model build(const ModelInfo& info, const Variant& variant, int64_t classes, int height, int width) {
  Model m;
  m.name = info.name;
  Graph& g = m.graph;
  Builder b(g, variant);
  m.image = g.image_input("image", 3, height, width);
  ValueId v = b.relu("relu", b.conv_bn("conv1", "bn1", m.image, 64, 7, 2));
  v = g.add("maxpool", std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 3, 2, 1), {v});
  const int blocks[] = {3, 4, 6, 3};
  for (int stage = 0; stage < 4; ++stage) {
    for (int block = 0; block < blocks[stage]; ++block) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(block);
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      v = b.bottleneck(name, v, int64_t{64} << stage, stride, block == 0);
    }
  }
  m.feature_map = v;
  v = g.add("avgpool", std::make_unique<AdaptiveAvgPool2d>(1, 1), {v});
  v = g.add("flatten", std::make_unique<Flatten>(), {v});
  v = g.add("fc", std::make_unique<Linear>(classes, Init::Kind::glorot_uniform), {v});
  finish_model(m, v, "fc");
  return m;
}

}  // namespace

Model build_resnet50(const ModelInfo& info, int64_t classes, int height, int width) {
  return build(info, {true, 1e-5, 0.1}, classes, height, width);
}

Model build_resnet50_v1(const ModelInfo& info, int64_t classes, int height, int width) {
  return build(info, {false, 1.001e-5, 0.01}, classes, height, width);
}

}  // namespace ft
