// The networks: published parameter counts and shapes, and choosing parameters by name.
#include <gtest/gtest.h>

#include <set>

#include "models/model.h"
#include "models/patterns.h"
#include "models/transfer.h"

namespace ft {
namespace {

int64_t learnable(const Graph& g) {
  int64_t sum = 0;
  for (const Parameter& p : g.parameters())
    if (!p.is_statistic()) sum += p.shape.elements();
  return sum;
}

double gmac(const Graph& g) {
  double flops = 0;
  for (const Node& n : g.nodes()) flops += n.layer->flops(g.input_shapes(n));
  return flops / 2e9;
}

Model build(const std::string& name, int64_t classes, int size = 0) {
  const ModelInfo& info = find_model(name);
  const int side = size == 0 ? info.recipe.input_size : size;
  return build_model(info, classes, side, side);
}

// Counts: torchvision's documentation for alexnet-tv, resnet50 and vgg16; Caffe's layer shapes for alexnet; for
// resnet50-v1 Keras counts 25583592 with 26560 convolution biases, which are folded here.
TEST(Models, parameter_counts_are_the_published_ones) {
  EXPECT_EQ(learnable(build("alexnet", 1000).graph), 60965224);
  EXPECT_EQ(learnable(build("alexnet-tv", 1000).graph), 61100840);
  EXPECT_EQ(learnable(build("resnet50", 1000).graph), 25557032);
  EXPECT_EQ(learnable(build("resnet50-v1", 1000).graph), 25583592 - 26560);
  for (const char* vgg : {"vgg16", "vgg16-keras"}) {
    EXPECT_EQ(learnable(build(vgg, 1000).graph), 138357544) << vgg;
    EXPECT_EQ(learnable(build(vgg, 2).graph), 134268738) << vgg;
  }
  EXPECT_EQ(learnable(build("alexnet", 2).graph), 56876418);
  EXPECT_EQ(learnable(build("alexnet-tv", 2).graph), 57012034);
  EXPECT_EQ(learnable(build("resnet50", 2).graph), 23512130);
}

TEST(Models, work_of_a_forward_pass_is_the_published_one) {
  EXPECT_NEAR(gmac(build("alexnet", 1000).graph), 0.724, 0.001);
  EXPECT_NEAR(gmac(build("alexnet-tv", 1000).graph), 0.714, 0.001);
  EXPECT_NEAR(gmac(build("resnet50", 1000).graph), 4.089, 0.001);
  EXPECT_NEAR(gmac(build("resnet50-v1", 1000).graph), 3.858, 0.001);
  EXPECT_NEAR(gmac(build("vgg16", 1000).graph), 15.47, 0.005);
  EXPECT_NEAR(gmac(build("vgg16-keras", 1000).graph), 15.47, 0.005);
}

TEST(Models, feature_maps_have_the_published_extent) {
  const auto map = [](const Model& m) {
    return m.graph.values()[static_cast<size_t>(m.feature_map)].shape;
  };
  EXPECT_EQ(map(build("alexnet", 2)), (Shape{1, 256, 13, 13}));
  EXPECT_EQ(map(build("alexnet-tv", 2)), (Shape{1, 256, 13, 13}));
  EXPECT_EQ(map(build("resnet50", 2)), (Shape{1, 2048, 7, 7}));
  EXPECT_EQ(map(build("resnet50-v1", 2)), (Shape{1, 2048, 7, 7}));
  EXPECT_EQ(map(build("vgg16", 2)), (Shape{1, 512, 14, 14}));
}

TEST(Models, v1_strides_in_the_first_1x1_and_v15_in_the_3x3) {
  for (const bool v15 : {false, true}) {
    const Model m = build(v15 ? "resnet50" : "resnet50-v1", 2);
    const auto& values = m.graph.values();
    const ValueId first = m.graph.find("layer2.0.conv1");
    EXPECT_EQ(values[static_cast<size_t>(first)].shape.h(), v15 ? 56 : 28);
    EXPECT_EQ(values[static_cast<size_t>(m.graph.find("layer2.0.conv2"))].shape.h(), 28);
  }
}

// Keys of torchvision's vgg16; the same parameters in both variants, so that either file fits, but only one may drop.
TEST(Models, vgg16_has_torchvision_names_and_its_keras_form_no_dropout) {
  const auto names = [](const Model& m) {
    std::vector<std::string> all;
    for (const Parameter& p : m.graph.parameters()) all.push_back(p.name);
    return all;
  };
  const auto dropouts = [](const Model& m) {
    std::vector<std::string> all;
    for (const Node& n : m.graph.nodes())
      if (n.layer->kind() == "dropout") all.push_back(n.name);
    return all;
  };
  const Model tv = build("vgg16", 2, 32), keras = build("vgg16-keras", 2, 32);
  std::vector<std::string> expected;
  for (int i : {0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28})
    for (const char* part : {".weight", ".bias"})
      expected.push_back("features." + std::to_string(i) + part);
  for (int i : {0, 3, 6})
    for (const char* part : {".weight", ".bias"})
      expected.push_back("classifier." + std::to_string(i) + part);
  EXPECT_EQ(names(tv), expected);
  EXPECT_EQ(names(keras), expected);
  EXPECT_EQ(dropouts(tv), (std::vector<std::string>{"classifier.2", "classifier.5"}));
  EXPECT_TRUE(dropouts(keras).empty());
  EXPECT_THROW(build("vgg16", 2, 31), Error);
  EXPECT_FALSE(find_model("vgg16").recipe.bgr);
  EXPECT_TRUE(find_model("vgg16-keras").recipe.bgr);
}

TEST(Models, bvlc_alexnet_takes_only_sizes_that_give_its_6x6_map) {
  for (int size : {227, 240, 258}) EXPECT_NO_THROW(build("alexnet", 2, size)) << size;
  for (int size : {96, 224, 226, 259, 300}) {
    try {
      build("alexnet", 2, size);
      ADD_FAILURE() << size;
    } catch (const Error& e) {
      EXPECT_EQ(e.number(), 2421);
    }
  }
  EXPECT_NO_THROW(build("alexnet-tv", 2, 63));
  EXPECT_THROW(build("alexnet-tv", 2, 62), Error);
}

TEST(Models, unknown_name_suggests_the_nearest) {
  try {
    find_model("resnet5o");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(e.line().find("did you mean resnet50?"), std::string::npos) << e.line();
  }
}

TEST(Patterns, globs_match_whole_names) {
  EXPECT_TRUE(glob_match("layer4.*", "layer4.0.conv1.weight"));
  EXPECT_FALSE(glob_match("layer4", "layer4.0"));
  EXPECT_TRUE(glob_match("*.bn?.*", "layer1.0.bn2.weight"));
  EXPECT_TRUE(glob_match("**a", "banana"));
  EXPECT_FALSE(glob_match("*x*", "banana"));
}

TEST(Patterns, ranges_are_inclusive_in_graph_order) {
  const Model m = build("alexnet", 2);
  std::set<std::string> names;
  for (int i : match_parameters(m.graph, "conv5..fc6", "--freeze"))
    names.insert(m.graph.parameters()[static_cast<size_t>(i)].name);
  EXPECT_EQ(names, (std::set<std::string>{"conv5.weight", "conv5.bias", "fc6.weight", "fc6.bias"}));
  EXPECT_THROW(match_parameters(m.graph, "fc6..conv5", "--freeze"), Error);
  try {
    match_parameters(m.graph, "conv9", "--freeze");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 2022);
    EXPECT_NE(e.line().find("did you mean"), std::string::npos);
  }
}

TEST(Transfer, with_weights_only_the_head_trains_twenty_times_faster) {
  Model m = build("resnet50", 2, 64);
  TransferOptions options;
  options.pretrained = true;
  apply_transfer(m, options);
  for (const Parameter& p : m.graph.parameters()) {
    EXPECT_EQ(p.trainable, p.name.starts_with("fc.")) << p.name;
    EXPECT_TRUE(!p.trainable || p.lr_factor == 20);
  }
}

TEST(Transfer, patterns_unfreeze_and_set_factors_and_statistics_never_train) {
  Model m = build("resnet50", 2, 64);
  TransferOptions options;
  options.pretrained = true;
  options.unfreeze = "layer4.*";
  options.lr_factors = {{"layer4.2.*", {3, 5}}};
  apply_transfer(m, options);
  const auto& p = [&](const char* name) {
    return m.graph.parameters()[static_cast<size_t>(m.graph.find_parameter(name))];
  };
  EXPECT_TRUE(p("layer4.0.conv1.weight").trainable);
  EXPECT_FALSE(p("layer3.0.conv1.weight").trainable);
  EXPECT_FALSE(p("layer4.0.bn1.running_mean").trainable);
  EXPECT_EQ(p("layer4.2.bn1.weight").lr_factor, 3);
  EXPECT_EQ(p("layer4.2.bn1.bias").lr_factor, 5);
  EXPECT_EQ(p("layer4.1.conv1.weight").lr_factor, 1);
}

TEST(Transfer, from_scratch_everything_trains_and_freezing_all_is_refused) {
  Model m = build("alexnet-tv", 2, 96);
  apply_transfer(m, {});
  for (const Parameter& p : m.graph.parameters()) EXPECT_TRUE(p.trainable && p.lr_factor == 1);
  TransferOptions all;
  all.freeze = "*";
  EXPECT_THROW(apply_transfer(m, all), Error);
}

}  // namespace
}  // namespace ft
