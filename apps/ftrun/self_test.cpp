// Drawing the golden picture, and a network of one picture that says something to it.
#include "apps/ftrun/self_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "io/image_reader.h"
#include "io/image_write.h"
#include "io/resize.h"
#include "layers/executor.h"
#include "layers/linear.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

// Small, so that it costs little; at a side of 64 every weight of every convolution still meets a pixel, which at 32
// those of the last stage of a ResNet do not. Neither square nor of the input's size, so that a recipe's resize shows.
constexpr int kHeight = 60, kWidth = 80, kSide = 64;

std::vector<uint8_t> draw_picture(const Golden& g) {
  const Rng rng(static_cast<uint64_t>(g.seed), RngPurpose::golden);
  std::vector<uint8_t> rgb(static_cast<size_t>(g.height) * static_cast<size_t>(g.width) * 3);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(rng.bits(i) >> 24);
  return rgb;
}

// The picture as the recipe wants it, less its numbers; of that the centre, or all of it where it is small.
std::vector<uint8_t> input_pixels(const Golden& g, const InputRecipe& recipe) {
  const std::vector<uint8_t> png = encode_png(draw_picture(g).data(), g.width, g.height);
  ImageReader reader(resize_spec(recipe));
  std::vector<uint8_t> whole(reader.slot_bytes());
  reader.read(ByteSpan(png.data(), png.size()), "the golden picture", {}, whole.data());
  const int side = g.side, w = recipe.width, h = recipe.height;
  const ResizePlan plan = std::min(w, h) >= side
                              ? ResizePlan{w, h, (w - side) / 2, (h - side) / 2, side, side}
                              : ResizePlan{side, side, 0, 0, side, side};
  std::vector<uint8_t> pixels(plan.bytes());
  Resizer().run(whole.data(), w, h, plan, false, pixels.data());
  return pixels;
}

// A graph at batch 1 in f32, from its input to one value.
class Once {
 public:
  Once(const Graph& graph, ValueId to, ParameterSet& parameters, Backend& backend)
      : backend_(backend),
        to_(to),
        compiled_(graph, backend, options(to)),
        executor_(compiled_, parameters, backend, make_arena(backend, {&compiled_}),
                  make_step_state(backend)) {}

  Tensor value(ValueId v) const { return executor_.value(v); }

  std::vector<float> run(StreamRef s) {
    executor_.forward(s);
    const Tensor y = value(to_),
                 plain({y.shape(), DType::f32, Layout::plain}, backend_.allocator());
    backend_.convert(s, y, plain);
    std::vector<float> out(static_cast<size_t>(plain.shape().elements()));
    backend_.download(s, plain, out.data());
    backend_.synchronize(s);
    return out;
  }

 private:
  static CompileOptions options(ValueId to) {
    CompileOptions options;
    options.to = to;
    options.fuse = false;  // folded batch-norms would be one more copy of all weights
    return options;
  }

  Backend& backend_;
  ValueId to_;
  CompiledGraph compiled_;
  Executor executor_;
};

// What the classifier of `file` says to the features in front of it.
std::vector<float> head_logits(const WeightFile& file, const std::string& head,
                               const std::vector<float>& features, Backend& backend, StreamRef s) {
  const NamedTensor *weight = file.find(head + ".weight"), *bias = file.find(head + ".bias");
  FT_CHECK(weight != nullptr && bias != nullptr, "the file has no " + head);
  Graph graph;
  const ValueId in = graph.image_input("features", static_cast<int64_t>(features.size()), 1, 1);
  const ValueId out = graph.add(head, std::make_unique<Linear>(bias->shape[0]), {in});
  for (Parameter& p : graph.parameters()) p.trainable = false;
  ParameterSet parameters(graph, backend);
  parameters.set(0, weight->data, s);
  parameters.set(1, bias->data, s);
  Once once(graph, out, parameters, backend);
  const Tensor plain({once.value(in).shape(), DType::f32, Layout::plain}, backend.allocator());
  backend.upload(s, features.data(), plain);
  backend.convert(s, plain, once.value(in));
  return once.run(s);
}

Model golden_model(const WeightFile& file, const Golden& g) {
  try {
    return build_model(find_model(file.model), static_cast<int64_t>(g.logits.size()), g.side,
                       g.side);
  } catch (const Error& e) {
    throw Error(2313, file.path, "the golden picture is impossible: " + e.seen(),
                "make the file again with this version of ftrun");
  }
}

// The body is computed with `body`, the head with the numbers of the file.
std::vector<float> logits_of(const WeightFile& file, const Golden& g, const Model& model,
                             ParameterSet& body, Backend& backend, StreamRef s) {
  const auto head = std::ranges::find(model.graph.nodes(), model.head, &Node::name);
  Once once(model.graph, head->inputs[0], body, backend);
  const std::vector<uint8_t> pixels = input_pixels(g, file.recipe);
  const Tensor bytes({{1, g.side, g.side, 3}, DType::u8, Layout::plain}, backend.allocator());
  backend.upload(s, pixels.data(), bytes);
  backend.normalize_image(s, normalize_spec(file.recipe), bytes, once.value(model.image));
  return head_logits(file, model.head, once.run(s), backend, s);
}

// With no logits yet; as many classes as the file has.
Golden new_golden(const WeightFile& file) {
  const ModelInfo& info = find_model(file.model);
  Golden g{1, kHeight, kWidth, std::max(kSide, info.minimum_size), {}};
  const NamedTensor* bias = file.find(build_model(info, 2, g.side, g.side).head + ".bias");
  FT_CHECK(bias != nullptr, "the network has no classifier");
  g.logits.resize(static_cast<size_t>(bias->shape[0]));
  return g;
}

std::string compute(WeightFile& file, Golden g, const Model& model, ParameterSet& parameters,
                    Backend& backend, StreamRef s) {
  try {
    g.logits = logits_of(file, g, model, parameters, backend, s);
  } catch (const Error& e) {
    return e.seen();
  }
  if (!std::ranges::all_of(g.logits, [](float z) { return std::isfinite(z); }))
    return "its logits are not finite";
  file.golden = std::move(g);
  return {};
}

double distance(const std::vector<float>& now, const std::vector<float>& then) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < then.size(); ++i) {
    difference += std::pow(static_cast<double>(now[i]) - static_cast<double>(then[i]), 2);
    norm += std::pow(static_cast<double>(then[i]), 2);
  }
  constexpr double kSmallest = 1e-12;  // logits that are all 0
  return std::sqrt(difference / std::max(norm, kSmallest));
}

}  // namespace

std::string add_golden(WeightFile& file, ParameterSet& parameters, Backend& backend, StreamRef s) {
  const Golden g = new_golden(file);
  return compute(file, g, golden_model(file, g), parameters, backend, s);
}

std::string add_golden(WeightFile& file, Backend& backend, StreamRef s) {
  const Golden g = new_golden(file);
  Model model = golden_model(file, g);
  for (Parameter& p : model.graph.parameters()) p.trainable = false;
  const bool lend = backend.device().kind != Device::Kind::cuda;
  std::optional<ParameterSet> parameters;
  try {
    parameters.emplace(model.graph, backend);
  } catch (const Error& e) {  // no memory for it
    return e.seen();
  }
  std::vector<int> lent;
  for (int i = 0; i < static_cast<int>(file.tensors.size()); ++i) {
    NamedTensor& t = file.tensors[static_cast<size_t>(i)];
    FT_CHECK(t.name == parameters->name(i), t.name + " is not where the network has it");
    parameters->set(i, t.data, s);
    if (!lend || t.name.starts_with(model.head + ".")) continue;
    t.data = std::vector<float>();  // gives the memory back, as {} would not
    lent.push_back(i);
  }
  const std::string why = compute(file, g, model, *parameters, backend, s);
  for (int i : lent) file.tensors[static_cast<size_t>(i)].data = parameters->get(i, s);
  return why;
}

std::string self_test(const WeightFile& file, ParameterSet& body, Backend& backend, StreamRef s) {
  if (!file.golden) return "none: the file holds no golden picture, as older ones do not";
  const auto start = std::chrono::steady_clock::now();
  const Golden& g = *file.golden;
  const Model model = golden_model(file, g);
  const NamedTensor* bias = file.find(model.head + ".bias");
  if (bias == nullptr || bias->data.size() != g.logits.size())
    throw Error(2313, file.path, "the golden picture has logits of another number of classes",
                "make the file again with this version of ftrun");
  const double far = distance(logits_of(file, g, model, body, backend, s), g.logits);
  if (!(far <= kSelfTestBound))
    throw Error(
        2331, file.path,
        fmt::format("the self-test fails: the network's answer to the golden picture is {:.2g} "
                    "away from the one it was written with, and {:g} would be rounding; its "
                    "weights or its input recipe were changed, or this machine computes wrongly",
                    far, kSelfTestBound),
        "get the file again from where it was made; --no-self-test uses it all the same");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return fmt::format("passed in {:.2f} s: {:.1g} away from the answer it was written with",
                     took.count(), far);
}

Network load_tested(const std::string& path, bool test, Backend& backend, StreamRef s,
                    std::string* told) {
  const WeightFile file = load_weights(path);
  Network network = load_network(file, backend, s);
  const std::string said =
      test ? self_test(file, *network.parameters, backend, s) : "off: --no-self-test";
  if (told != nullptr) *told = said;
  return network;
}

}  // namespace ft::app
