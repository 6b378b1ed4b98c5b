// Tensors of Keras, MATLAB and Caffe become ours: names, orders of numbers, biases and epsilons folded, files without a
// classifier. Every layout is compared with its definition, element by element.
#include "apps/convert/conversion.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "apps/convert/array_layout.h"
#include "apps/convert/candidate.h"
#include "tests/io/source_samples.h"

namespace ft::convert {
namespace {

using Floats = std::vector<float>;
using test::error_number;

// ---- orders of numbers

// Calls `visit` with every index of `shape`.
void each(const Sides& shape, const std::function<void(const Sides&)>& visit) {
  Sides at(shape.size(), 0);
  for (int64_t n = element_count(shape); n-- > 0;) {
    visit(at);
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
}

// Position of index `at` where the first (or the last) side changes fastest.
size_t place(const Sides& at, const Sides& shape, bool first_fastest) {
  size_t n = 0;
  for (size_t i = 0; i < at.size(); ++i) {
    const size_t d = first_fastest ? at.size() - 1 - i : i;
    n = n * static_cast<size_t>(shape[d]) + static_cast<size_t>(at[d]);
  }
  return n;
}

// The file's numbers, `source_index` telling which of its elements is element `at` of ours; then permuted by layout_of.
void expect_layout(SourceFormat format, const Sides& target, const Sides& map,
                   const Sides& source_shape, const Sides& file_shape, bool column_major,
                   const std::function<Sides(const Sides&)>& source_index) {
  Floats file(static_cast<size_t>(element_count(target)), -1), ours(file.size());
  std::iota(ours.begin(), ours.end(), 0.F);
  each(target, [&](const Sides& at) {
    file[place(source_index(at), source_shape, column_major)] = ours[place(at, target, false)];
  });
  const ArrayLayout layout = layout_of(format, target, map);
  EXPECT_EQ(layout.source, file_shape);
  EXPECT_EQ(permute(file, layout.view, layout.order), ours);
}

TEST(ArrayLayout, keras_kernels_are_height_width_in_out) {
  const Sides t = {70, 40, 3, 5};  // more than one tile
  expect_layout(SourceFormat::keras, t, {}, {3, 5, 40, 70}, {3, 5, 40, 70}, false,
                [](const Sides& k) { return Sides{k[2], k[3], k[1], k[0]}; });
}

TEST(ArrayLayout, matlab_kernels_are_height_width_in_out_by_columns) {
  const Sides t = {70, 40, 3, 5};
  expect_layout(SourceFormat::matlab, t, {}, {3, 5, 40, 70}, {70, 40, 5, 3}, true,
                [](const Sides& k) { return Sides{k[2], k[3], k[1], k[0]}; });
}

TEST(ArrayLayout, matrices_are_in_out_in_keras_and_out_in_by_columns_in_matlab) {
  const Sides t = {37, 65};
  expect_layout(SourceFormat::keras, t, {}, {65, 37}, {65, 37}, false,
                [](const Sides& k) { return Sides{k[1], k[0]}; });
  expect_layout(SourceFormat::matlab, t, {}, {37, 65}, {65, 37}, true,
                [](const Sides& k) { return k; });
}

TEST(ArrayLayout, flattened_maps_are_height_width_channel_in_keras) {
  const int64_t c = 33, h = 3, w = 5;
  expect_layout(SourceFormat::keras, {37, c * h * w}, {c, h, w}, {c * h * w, 37}, {c * h * w, 37},
                false, [=](const Sides& k) {
                  const int64_t channel = k[1] / (h * w), y = k[1] / w % h, x = k[1] % w;
                  return Sides{(y * w + x) * c + channel, k[0]};
                });
}

TEST(ArrayLayout, flattened_maps_go_down_the_columns_in_matlab) {
  const int64_t c = 33, h = 3, w = 5;
  expect_layout(SourceFormat::matlab, {37, c * h * w}, {c, h, w}, {37, c * h * w}, {c * h * w, 37},
                true, [=](const Sides& k) {
                  const int64_t channel = k[1] / (h * w), y = k[1] / w % h, x = k[1] % w;
                  return Sides{k[0], y + h * (x + w * channel)};
                });
}

TEST(ArrayLayout, torch_and_caffe_have_ours) {
  for (const SourceFormat f : {SourceFormat::torch, SourceFormat::safetensors, SourceFormat::caffe})
    for (const Sides& t : {Sides{4, 3, 2, 2}, Sides{4, 12}, Sides{4}})
      EXPECT_TRUE(layout_of(f, t, {}).order.empty() && layout_of(f, t, {}).source == t);
}

// ---- names

std::string name_in(const char* model, const char* node, ParamRole role, Naming naming) {
  return source_name(model, node, role, naming);
}

TEST(Naming, resnet_blocks_have_stage_letter_and_branch_or_stage_block_and_number) {
  const struct {
    const char* node;
    ParamRole role;
    const char *keras, *original, *caffe;
  } kRows[] = {
      {"conv1", ParamRole::weight, "conv1_conv/weight", "conv1/weight", "conv1/weight"},
      {"bn1", ParamRole::gamma, "conv1_bn/gamma", "bn_conv1/gamma", "scale_conv1/gamma"},
      {"bn1", ParamRole::running_var, "conv1_bn/variance", "bn_conv1/variance",
       "bn_conv1/variance"},
      {"layer1.0.downsample.0", ParamRole::weight, "conv2_block1_0_conv/weight",
       "res2a_branch1/weight", "res2a_branch1/weight"},
      {"layer1.0.downsample.1", ParamRole::running_mean, "conv2_block1_0_bn/mean",
       "bn2a_branch1/mean", "bn2a_branch1/mean"},
      {"layer3.5.conv1", ParamRole::weight, "conv4_block6_1_conv/weight", "res4f_branch2a/weight",
       "res4f_branch2a/weight"},
      {"layer3.5.bn3", ParamRole::beta, "conv4_block6_3_bn/beta", "bn4f_branch2c/beta",
       "scale4f_branch2c/beta"},
      {"layer4.2.bn2", ParamRole::running_mean, "conv5_block3_2_bn/mean", "bn5c_branch2b/mean",
       "bn5c_branch2b/mean"},
      {"fc", ParamRole::bias, "predictions/bias", "fc1000/bias", "fc1000/bias"},
  };
  for (const auto& row : kRows) {
    EXPECT_EQ(name_in("resnet50-v1", row.node, row.role, Naming::keras), row.keras);
    EXPECT_EQ(name_in("resnet50-v1", row.node, row.role, Naming::keras_old), row.original);
    EXPECT_EQ(name_in("resnet50-v1", row.node, row.role, Naming::matlab), row.original);
    EXPECT_EQ(name_in("resnet50-v1", row.node, row.role, Naming::caffe), row.caffe);
  }
}

TEST(Naming, vgg_counts_blocks_and_convolutions_in_them) {
  const std::map<std::string, std::pair<std::string, std::string>> kRows = {
      {"features.0", {"block1_conv1", "conv1_1"}},
      {"features.2", {"block1_conv2", "conv1_2"}},
      {"features.5", {"block2_conv1", "conv2_1"}},
      {"features.14", {"block3_conv3", "conv3_3"}},
      {"features.19", {"block4_conv2", "conv4_2"}},
      {"features.28", {"block5_conv3", "conv5_3"}},
      {"classifier.0", {"fc1", "fc6"}},
      {"classifier.3", {"fc2", "fc7"}},
      {"classifier.6", {"predictions", "fc8"}},
  };
  for (const auto& [node, names] : kRows) {
    EXPECT_EQ(source_name("vgg16-keras", node, ParamRole::weight, Naming::keras),
              names.first + "/weight");
    EXPECT_EQ(source_name("vgg16-keras", node, ParamRole::bias, Naming::matlab),
              names.second + "/bias");
  }
}

TEST(Naming, numbers_follow_the_list_of_layers_of_keras) {
  const std::map<std::string, std::string> kRows = {
      {"conv1", "conv2d"},
      {"layer1.0.conv1", "conv2d_1"},
      {"layer1.0.conv2", "conv2d_2"},
      {"layer1.0.downsample.0", "conv2d_3"},
      {"layer1.0.conv3", "conv2d_4"},
      {"layer1.1.conv1", "conv2d_5"},
      {"layer1.2.conv3", "conv2d_10"},
      {"layer2.0.conv1", "conv2d_11"},
      {"layer2.3.conv3", "conv2d_23"},
      {"layer3.0.downsample.0", "conv2d_26"},
      {"layer4.2.conv3", "conv2d_52"},
      {"bn1", "batch_normalization"},
      {"layer4.0.downsample.1", "batch_normalization_45"},
      {"layer4.2.bn3", "batch_normalization_52"},
      {"fc", "dense"},
  };
  for (const auto& [node, name] : kRows)
    EXPECT_EQ(source_name("resnet50-v1", node, ParamRole::weight, Naming::keras_numbered),
              name + "/weight");
  for (const auto& [node, name] : std::map<std::string, std::string>{{"features.0", "conv2d"},
                                                                     {"features.28", "conv2d_12"},
                                                                     {"classifier.0", "dense"},
                                                                     {"classifier.6", "dense_2"}})
    EXPECT_EQ(source_name("vgg16-keras", node, ParamRole::bias, Naming::keras_numbered),
              name + "/bias");
}

// ---- whole networks, drawn so that every tensor can be told apart

// Names and shapes of a file that holds a network, with numbers made when they are asked for: variances 1, means 0.5,
// biases of convolutions 0.125, all else counted from the number of the tensor.
class Source {
 public:
  Source(SourceFormat format, const char* model, Naming naming, int64_t classes,
         bool convolutions_have_biases) {
    file.format = format;
    file.what = "a drawn file";
    const ModelInfo& info = find_model(model);
    const int side = info.recipe.input_size;
    const Model m = build_model(info, classes, side, side);
    SourceMap none;
    const Candidate c = make_candidate(info, naming, file, none, "f");
    for (const Node& node : m.graph.nodes())
      for (int i = 0; i < node.parameter_count; ++i) add(m, node, i, c, naming);
    if (!convolutions_have_biases) return;
    for (const Node& node : m.graph.nodes())
      if (node.layer->kind() == "conv2d" && node.parameter_count == 1)
        put(source_name(model, node.name, ParamRole::bias, naming),
            {m.graph.parameters()[static_cast<size_t>(node.first_parameter)].shape[0]}, 0.125F);
  }

  void erase(const std::string& name) {
    std::erase_if(file.tensors, [&](const SourceTensor& t) { return t.name == name; });
  }
  void put(const std::string& name, Sides shape, float value) {
    const auto count = static_cast<size_t>(element_count(shape));
    file.tensors.push_back(
        {name, std::move(shape), "float32", [count, value] { return Floats(count, value); }});
  }
  SourceMap map() const {
    SourceMap map;
    for (const SourceTensor& t : file.tensors) map[t.name] = &t;
    return map;
  }

  SourceFile file;

 private:
  void add(const Model& m, const Node& node, int i, const Candidate& c, Naming naming) {
    const auto index = static_cast<size_t>(node.first_parameter + i);
    const Parameter& p = m.graph.parameters()[index];
    Sides shape = c.origins[index].layout.source;
    // The candidate of an empty file has as many classes as the published network.
    const Sides ours(p.shape.dims().begin(), p.shape.dims().end());
    if (node.name == m.head) shape = layout_of(file.format, ours, {}).source;
    float value = static_cast<float>(index);
    if (p.role == ParamRole::running_mean) value = 0.5F;
    if (p.role == ParamRole::running_var) value = 1;
    put(source_name(m.name, node.name, p.role, naming), std::move(shape), value);
  }
};

const NamedTensor& tensor(const Conversion& c, std::string_view name) {
  return *std::ranges::find(c.tensors, name, &NamedTensor::name);
}
int64_t count(const Conversion& c, Step step) {
  return std::ranges::count(c.rows, step, &Row::step);
}

TEST(Conversion, biases_in_front_of_batch_norms_go_into_their_means_and_epsilons_into_variances) {
  const struct {
    Naming naming;
    SourceFormat format;
    double epsilon;
  } kRows[] = {{Naming::keras, SourceFormat::keras, 1.001e-5},
               {Naming::keras_numbered, SourceFormat::keras, 1.001e-5},
               {Naming::keras_old, SourceFormat::keras, 1e-3},
               {Naming::matlab, SourceFormat::matlab, 1e-3},
               {Naming::caffe, SourceFormat::caffe, 1e-5}};
  for (const auto& row : kRows) {
    const Source source(row.format, "resnet50-v1", row.naming, 7, true);
    const Conversion c = convert(source.file, {"f", "", "", 1});
    EXPECT_EQ(c.model, "resnet50-v1");
    EXPECT_EQ(c.known_by, describe(row.naming));
    EXPECT_EQ(c.classes, 7);
    EXPECT_EQ(tensor(c, "layer2.1.bn2.running_mean").data, Floats(128, 0.375F));
    const auto variance = static_cast<float>(1 + (row.epsilon - 1.001e-5));
    EXPECT_EQ(tensor(c, "layer2.1.bn2.running_var").data, Floats(128, variance));
    EXPECT_EQ(c.epsilon.empty(), row.epsilon == 1.001e-5);
    const int64_t norms = 53;
    EXPECT_EQ(count(c, Step::folded), c.epsilon.empty() ? norms : 2 * norms);
    EXPECT_EQ(count(c, Step::reshaped), row.format == SourceFormat::caffe ? 0 : 54);
    // Each tensor is the one of its own name.
    const Model m = build_model(find_model("resnet50-v1"), 7, 224, 224);
    const auto& parameters = m.graph.parameters();
    for (size_t i = 0; i < parameters.size(); ++i) {
      const ParamRole role = parameters[i].role;
      if (role == ParamRole::running_mean || role == ParamRole::running_var) continue;
      const std::string& name = parameters[i].name;
      ASSERT_EQ(tensor(c, name).data.front(), static_cast<float>(i)) << name;
    }
  }
}

TEST(Conversion, convolutions_may_lack_the_biases_that_ours_do_not_have) {
  const Source source(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, false);
  const Conversion c = convert(source.file, {"f", "", "", 1});
  EXPECT_EQ(tensor(c, "layer2.1.bn2.running_mean").data, Floats(128, 0.5F));
  EXPECT_EQ(count(c, Step::folded), 0);
}

TEST(Conversion, the_epsilon_that_a_file_says_counts) {
  Source source(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, false);
  source.file.epsilon["conv3_block2_2_bn"] = 0.25 + 1.001e-5;
  const Conversion c = convert(source.file, {"f", "", "", 1});
  EXPECT_EQ(tensor(c, "layer2.1.bn2.running_var").data, Floats(128, 1.25F));
  EXPECT_EQ(tensor(c, "layer2.1.bn1.running_var").data, Floats(128, 1.F));
}

TEST(Conversion, without_its_top_a_file_gives_a_drawn_classifier) {
  Source source(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, true);
  source.erase("predictions/weight");
  source.erase("predictions/bias");
  const Conversion a = convert(source.file, {"f", "", "", 1});
  const Conversion b = convert(source.file, {"f", "", "", 2});
  EXPECT_EQ(count(a, Step::fresh), 2);
  EXPECT_EQ(a.classes, 1000);
  EXPECT_EQ(tensor(a, "fc.weight").shape, (Sides{1000, 2048}));
  EXPECT_NE(tensor(a, "fc.weight").data, tensor(b, "fc.weight").data);
  EXPECT_EQ(tensor(a, "layer1.0.conv1.weight").data, tensor(b, "layer1.0.conv1.weight").data);
}

// Half a classifier is damage, not a missing top; and VGG16's top are three matrices.
TEST(Conversion, only_a_whole_top_may_be_missing) {
  Source resnet(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, true);
  resnet.erase("predictions/bias");
  EXPECT_EQ(error_number([&] { convert(resnet.file, {"f", "", "", 1}); }), 2320);
  const ModelInfo& info = find_model("vgg16-keras");
  Source vgg(SourceFormat::keras, "vgg16-keras", Naming::keras, 10, true);
  const auto fits = [&] {
    return make_candidate(info, Naming::keras, vgg.file, vgg.map(), "f").report.fits();
  };
  EXPECT_TRUE(fits());
  const std::vector<SourceTensor> whole = vgg.file.tensors;
  for (const char* layer : {"predictions", "fc2", "fc1"}) {
    vgg.erase(std::string(layer) + "/bias");
    EXPECT_FALSE(fits()) << layer;
    vgg.erase(std::string(layer) + "/weight");
    EXPECT_TRUE(fits()) << layer;
  }
  vgg.file.tensors = whole;
  for (const char* name : {"fc1/bias", "fc1/weight", "predictions/bias", "predictions/weight"}) {
    vgg.erase(name);
    EXPECT_FALSE(fits()) << name;
  }
}

// C06: every tensor missing, added or twice, one after the other.
TEST(Conversion, each_tensor_missing_or_of_another_shape_is_refused) {
  const ModelInfo& info = find_model("resnet50-v1");
  Source source(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, true);
  const auto fits = [&] {
    return make_candidate(info, Naming::keras, source.file, source.map(), "f").report.fits();
  };
  ASSERT_TRUE(fits());
  for (size_t i = 0; i < source.file.tensors.size(); ++i) {
    SourceTensor& t = source.file.tensors[i];
    const SourceTensor kept = t;
    t.shape.push_back(1);
    EXPECT_FALSE(fits()) << t.name;
    t = kept;
    // A convolution may go without its bias, since ours does.
    t.name = "somewhere/else";
    EXPECT_FALSE(fits()) << kept.name;
    t = kept;
  }
  source.put("one/more", {1}, 0);
  EXPECT_FALSE(fits());
  source.file.tensors.back().name = source.file.tensors[0].name;
  EXPECT_EQ(error_number([&] { convert(source.file, {"f", "", "", 1}); }), 2356);
}

// C07: the right numbers in another order.
TEST(Conversion, kernels_in_the_order_of_keras_are_named_as_such) {
  Source source(SourceFormat::safetensors, "resnet50", Naming::own, 7, false);
  for (SourceTensor& t : source.file.tensors)
    if (t.name == "conv1.weight") t.shape = {7, 7, 3, 64};
  std::string line;
  EXPECT_EQ(error_number([&] { convert(source.file, {"f", "", "resnet50", 1}); }, &line), 2320);
  EXPECT_NE(line.find("Keras"), std::string::npos) << line;
}

// C08: names imply the variant, and nobody's word counts against them.
TEST(Conversion, keras_names_are_never_the_network_of_torchvision) {
  const Source source(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, true);
  std::string line;
  EXPECT_EQ(error_number([&] { convert(source.file, {"f", "", "resnet50", 1}); }, &line), 2355);
  const Source own(SourceFormat::safetensors, "resnet50", Naming::own, 7, false);
  EXPECT_EQ(error_number([&] { convert(own.file, {"f", "", "", 1}); }), 2354);
  EXPECT_EQ(convert(own.file, {"f", "", "resnet50-v1", 1}).known_by,
            "the word of the user (--model)");
}

// The first kernels of MATLAB's networks read R, G, B, those of Caffe and Keras B, G, R.
TEST(Conversion, networks_of_matlab_take_rgb_and_their_own_mean) {
  Source source(SourceFormat::matlab, "resnet50-v1", Naming::matlab, 7, false);
  const InputRecipe usual = convert(source.file, {"f", "", "", 1}).recipe;
  EXPECT_EQ(usual.colour_order, ColourOrder::rgb);
  EXPECT_EQ(usual.mean, (std::array<double, 3>{123.68, 116.779, 103.939}));
  EXPECT_EQ(usual.scale, 1);
  source.file.input_mean = {1, 2, 3};
  EXPECT_EQ(convert(source.file, {"f", "", "", 1}).recipe.mean, (std::array<double, 3>{1, 2, 3}));
  const Source keras(SourceFormat::keras, "resnet50-v1", Naming::keras, 7, false);
  EXPECT_EQ(convert(keras.file, {"f", "", "", 1}).recipe.colour_order, ColourOrder::bgr);
}

TEST(Conversion, grouped_convolutions_and_flattened_maps_of_alexnet_keep_their_places) {
  const ModelInfo& info = find_model("alexnet");
  const Source source(SourceFormat::matlab, "alexnet", Naming::matlab, 7, true);
  const Candidate c = make_candidate(info, Naming::matlab, source.file, source.map(), "f");
  EXPECT_TRUE(c.report.fits());
  const auto layout = [&](const char* name) {
    return std::ranges::find(c.origins, name, &Origin::source)->layout;
  };
  EXPECT_EQ(layout("conv2/weight").source, (Sides{256, 48, 5, 5}));
  EXPECT_EQ(layout("fc6/weight").view, (Sides{256, 6, 6, 4096}));
  EXPECT_EQ(layout("fc7/weight").view, (Sides{4096, 4096}));
}

}  // namespace
}  // namespace ft::convert
