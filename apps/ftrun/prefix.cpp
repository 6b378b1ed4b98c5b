// The frozen front of a network.
#include "apps/ftrun/prefix.h"

#include <algorithm>

namespace ft::app {
namespace {

bool trains(const Graph& graph, const Node& node) {
  const auto first = graph.parameters().begin() + node.first_parameter;
  return std::any_of(first, first + node.parameter_count,
                     [](const Parameter& p) { return p.trainable && !p.is_statistic(); });
}

// Values that are functions of what trains.
std::vector<bool> find_active(const Graph& graph) {
  std::vector<bool> active(graph.values().size(), false);
  for (const Node& n : graph.nodes())
    active[static_cast<size_t>(n.output)] =
        trains(graph, n) ||
        std::ranges::any_of(n.inputs, [&](ValueId v) { return active[static_cast<size_t>(v)]; });
  return active;
}

// Whether all that the loss takes from before node i + 1 is the output of node i (and the labels). Nodes stand
// in execution order, so it is enough to look at what the later ones read.
bool splits(const Model& model, size_t i) {
  const Graph& graph = model.graph;
  const auto later = [&](ValueId v) {
    return graph.values()[static_cast<size_t>(v)].producer > static_cast<int>(i);
  };
  for (size_t j = i + 1; j < graph.nodes().size(); ++j)
    for (ValueId v : graph.nodes()[j].inputs)
      if (v != graph.nodes()[i].output && v != model.labels && !later(v)) return false;
  return true;
}

CompileOptions inference(const NumericsPolicy& numerics, ValueId to, int64_t batch) {
  CompileOptions options;
  options.batch = batch;
  options.mode = Mode::inference;
  options.numerics = numerics;
  options.to = to;
  return options;
}

}  // namespace

Cut find_cut(const Model& model, const std::optional<BnMode>& bn) {
  const Graph& graph = model.graph;
  const std::vector<bool> active = find_active(graph);
  size_t nodes = 0;  // of the front
  for (size_t i = 0; i < graph.nodes().size(); ++i)
    if (!active[static_cast<size_t>(graph.nodes()[i].output)] && splits(model, i)) nodes = i + 1;
  if (nodes == 0) return {-1, "no frozen layers stand in front of all that train"};
  const auto front = graph.nodes().begin();
  const bool has_bn = std::any_of(front, front + static_cast<std::ptrdiff_t>(nodes),
                                  [](const Node& n) { return n.layer->kind() == "batchnorm2d"; });
  if (has_bn && bn == BnMode::batch)
    return {-1, "--bn batch gives the frozen layers the statistics of each batch"};
  return {graph.nodes()[nodes - 1].output, ""};
}

Tensor rows_of(const Tensor& tensor, int64_t first, int64_t n) {
  TensorSpec spec = tensor.spec();
  FT_CHECK(first >= 0 && first + n <= spec.shape.n(), "rows outside of a tensor");
  spec.shape = spec.shape.with_n(n);
  const size_t row = tensor.bytes() / static_cast<size_t>(tensor.shape().n());
  return {spec, static_cast<std::byte*>(tensor.data()) + static_cast<size_t>(first) * row};
}

Prefix::Prefix(Network& network, Backend& backend, const NumericsPolicy& numerics, ValueId cut,
               int64_t batch)
    : network_(network),
      backend_(backend),
      compiled_(network.model.graph, backend, inference(numerics, cut, batch)),
      normalize_(normalize_spec(network.recipe)),
      pixels_({{batch, network.recipe.height, network.recipe.width, 3}, DType::u8, Layout::plain},
              backend.allocator()) {
  const auto stream = backend.make_stream();
  backend.fill_zero(stream->ref(), pixels_);
  backend.synchronize(stream->ref());
}

void Prefix::bind(const Tensor& arena, const Tensor& state) {
  executor_ = std::make_unique<Executor>(compiled_, *network_.parameters, backend_, arena, state);
}

TensorSpec Prefix::spec(int64_t n) const {
  TensorSpec spec = compiled_.values()[static_cast<size_t>(cut())].spec;
  spec.shape = spec.shape.with_n(n);
  return spec;
}

void Prefix::run(const uint8_t* pixels, int64_t n, const Tensor& features, StreamRef s) {
  const size_t image = pixels_.bytes() / static_cast<size_t>(batch());
  for (int64_t first = 0; first < n; first += batch()) {
    const int64_t part = std::min(batch(), n - first);
    backend_.upload(s, pixels + static_cast<size_t>(first) * image, rows_of(pixels_, 0, part));
    backend_.normalize_image(s, normalize_, pixels_, executor_->value(network_.model.image));
    executor_->forward(s);
    backend_.convert(s, rows_of(executor_->value(cut()), 0, part), rows_of(features, first, part));
  }
}

}  // namespace ft::app
