// Layer names of Keras, MATLAB and Caffe.
#include "apps/convert/naming.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "tensor/error.h"

namespace ft::convert {
namespace {

constexpr double kKerasOldEpsilon = 1e-3;  // also MATLAB's
constexpr double kKerasEpsilon = 1.001e-5;
constexpr double kCaffeEpsilon = 1e-5;

// "layer2.0.conv1" as stage 3, block 0, part "conv1"; a name without dots is a part alone.
struct ResNetPlace {
  int stage = 0, block = 0;
  std::string part;
};

ResNetPlace place_of(const std::string& node) {
  if (!node.starts_with("layer")) return {0, 0, node};
  return {node[5] - '0' + 1, node[7] - '0', node.substr(9)};
}

std::string resnet_keras(const ResNetPlace& at) {
  if (at.part == "conv1" && at.stage == 0) return "conv1_conv";
  if (at.part == "bn1" && at.stage == 0) return "conv1_bn";
  if (at.part == "fc") return "predictions";
  const std::string block = fmt::format("conv{}_block{}_", at.stage, at.block + 1);
  if (at.part == "downsample.0") return block + "0_conv";
  if (at.part == "downsample.1") return block + "0_bn";
  return block + at.part.back() + (at.part.starts_with("conv") ? "_conv" : "_bn");
}

// "conv2d", "conv2d_1", ...
std::string numbered(const char* layer_class, int n) {
  return n == 0 ? layer_class : fmt::format("{}_{}", layer_class, n);
}

// Keras lists layers by their distance from the end: in a block with a projection, that comes before the third
// convolution.
std::string resnet_numbered(const ResNetPlace& at) {
  static constexpr int kBlocks[] = {3, 4, 6, 3};
  if (at.part == "fc") return "dense";
  const bool conv = at.part.starts_with("conv") || at.part == "downsample.0";
  const char* name = conv ? "conv2d" : "batch_normalization";
  if (at.stage == 0) return name;
  int n = 1;
  for (int stage = 2; stage < at.stage; ++stage) n += 3 * kBlocks[stage - 2] + 1;
  n += at.block == 0 ? 0 : 3 * at.block + 1;
  if (at.part.starts_with("downsample")) return numbered(name, n + 2);
  const int part = at.part.back() - '1';
  return numbered(name, n + part + (part == 2 && at.block == 0 ? 1 : 0));
}

// The original names: Caffe's, which Keras 1 and MATLAB took over. `scale`: Caffe's layer of gamma and beta.
std::string resnet_original(const ResNetPlace& at, bool scale) {
  const char* norm = scale ? "scale" : "bn";
  if (at.part == "conv1" && at.stage == 0) return "conv1";
  if (at.part == "bn1" && at.stage == 0) return fmt::format("{}_conv1", norm);
  if (at.part == "fc") return "fc1000";
  const std::string block = fmt::format("{}{}_branch", at.stage, static_cast<char>('a' + at.block));
  if (at.part == "downsample.0") return "res" + block + "1";
  if (at.part == "downsample.1") return norm + block + "1";
  const std::string part = fmt::format("2{}", static_cast<char>('a' + (at.part.back() - '1')));
  return (at.part.starts_with("conv") ? "res" : norm) + block + part;
}

// torchvision counts ReLUs and pools as well; the others name blocks and convolutions in them.
std::string vgg(const std::string& node, Naming naming) {
  static constexpr int kIndex[] = {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28};
  static constexpr const char* kKeras[] = {
      "block1_conv1", "block1_conv2", "block2_conv1", "block2_conv2", "block3_conv1",
      "block3_conv2", "block3_conv3", "block4_conv1", "block4_conv2", "block4_conv3",
      "block5_conv1", "block5_conv2", "block5_conv3"};
  static constexpr const char* kCaffe[] = {"conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1",
                                           "conv3_2", "conv3_3", "conv4_1", "conv4_2", "conv4_3",
                                           "conv5_1", "conv5_2", "conv5_3"};
  const bool keras = naming == Naming::keras, by_number = naming == Naming::keras_numbered;
  if (by_number && node.starts_with("classifier."))
    return numbered("dense", (node.back() - '0') / 3);
  if (node == "classifier.0") return keras ? "fc1" : "fc6";
  if (node == "classifier.3") return keras ? "fc2" : "fc7";
  if (node == "classifier.6") return keras ? "predictions" : "fc8";
  const auto found = std::ranges::find(kIndex, std::stoi(node.substr(node.find('.') + 1)));
  FT_CHECK(found != std::end(kIndex), "VGG16 has no convolution " + node);
  if (by_number) return numbered("conv2d", static_cast<int>(found - kIndex));
  return (keras ? kKeras : kCaffe)[found - kIndex];
}

bool is_scale(ParamRole role) { return role == ParamRole::gamma || role == ParamRole::beta; }

std::string layer_of(const std::string& model, const std::string& node, ParamRole role,
                     Naming naming) {
  if (model.starts_with("vgg")) return vgg(node, naming);
  if (!model.starts_with("resnet"))
    return node;  // BVLC's AlexNet: our names are Caffe's and MATLAB's
  const ResNetPlace place = place_of(node);
  if (naming == Naming::keras) return resnet_keras(place);
  if (naming == Naming::keras_numbered) return resnet_numbered(place);
  return resnet_original(place, naming == Naming::caffe && is_scale(role));
}

const char* name_of(ParamRole role) {
  switch (role) {
    case ParamRole::weight:
      return "weight";
    case ParamRole::bias:
      return "bias";
    case ParamRole::gamma:
      return "gamma";
    case ParamRole::beta:
      return "beta";
    case ParamRole::running_mean:
      return "mean";
    case ParamRole::running_var:
      break;
  }
  return "variance";
}

// As our parameters are named.
const char* own_name(ParamRole role) {
  switch (role) {
    case ParamRole::weight:
    case ParamRole::gamma:
      return "weight";
    case ParamRole::bias:
    case ParamRole::beta:
      return "bias";
    case ParamRole::running_mean:
      return "running_mean";
    case ParamRole::running_var:
      break;
  }
  return "running_var";
}

}  // namespace

std::vector<Naming> namings_of(SourceFormat format, const std::string& model) {
  const bool alexnet = model == "alexnet", resnet = model == "resnet50-v1",
             keras_vgg = model == "vgg16-keras";
  switch (format) {
    case SourceFormat::torch:
    case SourceFormat::safetensors:
      return {Naming::own};
    case SourceFormat::keras:
      if (resnet) return {Naming::keras_old, Naming::keras, Naming::keras_numbered};
      if (keras_vgg) return {Naming::keras, Naming::keras_numbered};
      break;
    case SourceFormat::matlab:
      if (alexnet || resnet || keras_vgg) return {Naming::matlab};
      break;
    case SourceFormat::caffe:
      if (alexnet || resnet || keras_vgg) return {Naming::caffe};
      break;
  }
  return {};
}

std::string source_name(const std::string& model, const std::string& node, ParamRole role,
                        Naming naming) {
  if (naming == Naming::own) return fmt::format("{}.{}", node, own_name(role));
  return fmt::format("{}/{}", layer_of(model, node, role, naming), name_of(role));
}

double source_epsilon(Naming naming) {
  switch (naming) {
    case Naming::keras_old:
    case Naming::matlab:
      return kKerasOldEpsilon;
    case Naming::keras:
    case Naming::keras_numbered:
      return kKerasEpsilon;
    case Naming::caffe:
      return kCaffeEpsilon;
    case Naming::own:
      break;
  }
  return -1;
}

std::string describe(Naming naming) {
  switch (naming) {
    case Naming::keras_old:
    case Naming::keras:
      return "its names (Keras)";
    case Naming::keras_numbered:
      return "its numbered layers (Keras)";
    case Naming::matlab:
      return "its names (MATLAB)";
    case Naming::caffe:
      return "its names (Caffe)";
    case Naming::own:
      break;
  }
  return "its names and shapes";
}

}  // namespace ft::convert
