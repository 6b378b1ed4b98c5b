// The small network and its images.
#include "tests/apps/small_network.h"

#include <algorithm>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "tensor/rng.h"

namespace ft::test {
namespace {

constexpr int kHeight = 13, kWidth = 10;

ValueId add_conv(Graph& g, const std::string& number, int64_t channels, int64_t kernel, ValueId x) {
  x = g.add("conv" + number,
            std::make_unique<Conv2d>(Conv2dConfig{channels, kernel, 1, kernel / 2, 1, false}), {x});
  return g.add("bn" + number, std::make_unique<BatchNorm2d>(), {x});
}

Model small_model() {
  Model m;
  Graph& g = m.graph;
  m.name = "small";
  m.classes = 3;
  m.image = g.image_input("image", 3, kHeight, kWidth);
  ValueId v = g.add("relu1", std::make_unique<Relu>(), {add_conv(g, "1", 6, 3, m.image)});
  const ValueId x = g.add("pool", std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 3, 2, 1), {v});
  v = g.add("relu2", std::make_unique<Relu>(), {add_conv(g, "2", 4, 1, x)});
  v = g.add("add", std::make_unique<Add>(), {add_conv(g, "3", 6, 3, v), x});
  v = g.add("relu3", std::make_unique<Relu>(), {v});
  v = g.add("avg", std::make_unique<AdaptiveAvgPool2d>(2, 2), {v});
  v = g.add("flatten", std::make_unique<Flatten>(), {v});
  v = g.add("drop1", std::make_unique<Dropout>(0.5), {v});
  v = g.add("fc1", std::make_unique<Linear>(17), {v});
  v = g.add("relu4", std::make_unique<Relu>(), {v});
  v = g.add("drop2", std::make_unique<Dropout>(0.25), {v});
  finish_model(m, g.add("fc2", std::make_unique<Linear>(3), {v}), "fc2");
  return m;
}

}  // namespace

app::Network small_network(Backend& backend, StreamRef s,
                           const std::vector<std::string>& trainable) {
  app::Network network;
  network.model = small_model();
  network.recipe.height = kHeight;
  network.recipe.width = kWidth;
  network.recipe.mean = {0.5, 0.5, 0.5};
  network.recipe.std = {0.3, 0.3, 0.3};
  network.recipe.scale = 1.0 / 255;
  network.classes = {"a", "b", "c"};
  for (Parameter& p : network.model.graph.parameters())
    p.trainable =
        !p.is_statistic() && std::ranges::any_of(trainable, [&](const std::string& start) {
          return p.name.starts_with(start);
        });
  network.parameters = std::make_unique<ParameterSet>(network.model.graph, backend);
  network.parameters->initialize(1, s);
  return network;
}

DrawnImages::DrawnImages(size_t count, uint64_t seed) : seed(seed) {
  for (size_t i = 0; i < count; ++i) {
    Sample sample;
    sample.path = std::to_string(i);
    sample.label = static_cast<int>(i % 3);
    samples.push_back(sample);
  }
}

Decode DrawnImages::decode() {
  return [this](const Sample& sample, uint64_t, uint64_t, uint8_t* out) {
    ++decoded;
    const Rng rng(seed, RngPurpose::test, 0, std::stoull(sample.path));
    for (uint64_t i = 0; i < kHeight * kWidth * 3; ++i)
      out[i] = static_cast<uint8_t>((rng.bits(i) & 127) + 60 * static_cast<uint32_t>(sample.label));
  };
}

}  // namespace ft::test
