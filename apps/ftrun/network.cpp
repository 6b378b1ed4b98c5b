// Networks from and to weight files.
#include "apps/ftrun/network.h"

#include <fmt/format.h>

#include "models/patterns.h"

namespace ft::app {
namespace {

std::vector<ExpectedTensor> expected_tensors(const Graph& graph) {
  std::vector<ExpectedTensor> expected;
  for (const Parameter& p : graph.parameters())
    expected.push_back({p.name, {p.shape.dims().begin(), p.shape.dims().end()}});
  return expected;
}

}  // namespace

NormalizeSpec normalize_spec(const InputRecipe& recipe) {
  return {recipe.scale, recipe.mean, recipe.std, recipe.colour_order == ColourOrder::bgr};
}

std::string describe(const InputRecipe& r) {
  std::string resize = fmt::format("squashed to {}x{}", r.width, r.height);
  if (r.resize == ResizeMode::crop)
    resize = fmt::format("short side {}, centre {}x{}", r.short_side, r.width, r.height);
  if (r.resize == ResizeMode::letterbox)
    resize = fmt::format("letterbox in {}x{}", r.width, r.height);
  return fmt::format(
      "{}, {}, pixel * {:.6g}, mean {:.6g} {:.6g} {:.6g}, deviation {:.4g} {:.4g} {:.4g}", resize,
      r.colour_order == ColourOrder::bgr ? "BGR" : "RGB", r.scale, r.mean[0], r.mean[1], r.mean[2],
      r.std[0], r.std[1], r.std[2]);
}

LoadReport load_parameters(Network& network, const WeightFile& file, bool new_head, StreamRef s) {
  const std::string head = network.model.head + ".*";
  const AllowedNew is_new = [&](std::string_view name) {
    return new_head && glob_match(head, std::string(name));
  };
  const LoadReport report = match_tensors(expected_tensors(network.model.graph), file, is_new);
  for (const std::string& name : report.loaded)
    network.parameters->set(network.model.graph.find_parameter(name), file.find(name)->data, s);
  return report;
}

WeightFile weight_file_of(const Network& network, StreamRef s) {
  WeightFile file;
  file.model = network.model.name;
  file.variant = find_model(network.model.name).variant;
  file.recipe = network.recipe;
  file.classes = network.classes;
  const auto& parameters = network.model.graph.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const auto dims = parameters[i].shape.dims();
    file.tensors.push_back({parameters[i].name,
                            {dims.begin(), dims.end()},
                            network.parameters->get(static_cast<int>(i), s)});
  }
  return file;
}

Model model_of(const WeightFile& file) {
  const ModelInfo& info = find_model(file.model);
  // The file says how many classes it has by the shape of its head.
  const std::string head = build_model(info, 2, file.recipe.height, file.recipe.width).head;
  const NamedTensor* bias = file.find(head + ".bias");
  if (bias == nullptr)
    throw Error(2320, file.path, "the classifier " + head + ".bias is missing",
                "use a file that ftrun wrote");
  Model model = build_model(info, bias->shape[0], file.recipe.height, file.recipe.width);
  match_tensors(expected_tensors(model.graph), file);
  return model;
}

Network load_network(const WeightFile& file, Backend& backend, StreamRef s) {
  Network network;
  network.model = model_of(file);
  network.recipe = file.recipe;
  network.classes = file.classes;
  for (int64_t i = static_cast<int64_t>(network.classes.size()); i < network.model.classes; ++i)
    network.classes.push_back(fmt::format("class {}", i));
  for (Parameter& p : network.model.graph.parameters()) p.trainable = false;
  network.parameters = std::make_unique<ParameterSet>(network.model.graph, backend);
  load_parameters(network, file, false, s);
  return network;
}

}  // namespace ft::app
