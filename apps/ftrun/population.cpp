// Statistics of batches become those of the population.
#include "apps/ftrun/population.h"

#include "layers/batchnorm2d.h"

namespace ft::app {

PopulationStatistics::PopulationStatistics(const CompiledGraph& training, ParameterSet& parameters)
    : parameters_(parameters) {
  for (const CompiledNode& c : training.nodes()) {
    const auto* layer = dynamic_cast<const BatchNorm2d*>(c.layer.get());
    if (layer == nullptr || c.bn != BnMode::batch) continue;
    LayerStatistics one{c.output, c.parameters[2], c.parameters[3], layer->momentum(), 0, {}, {}};
    const auto channels = static_cast<size_t>(parameters.value(one.mean).shape().elements());
    one.means.assign(channels, 0);
    one.squares.assign(channels, 0);
    layers_.push_back(std::move(one));
  }
}

// From zero, a batch leaves momentum times its own statistics.
void PopulationStatistics::before(StreamRef s) {
  for (const LayerStatistics& layer : layers_) {
    const std::vector<float> zero(layer.means.size(), 0);
    parameters_.set(layer.mean, zero, s);
    parameters_.set(layer.variance, zero, s);
  }
}

void PopulationStatistics::after(const CompiledGraph& now, StreamRef s) {
  for (LayerStatistics& layer : layers_) {
    const std::vector<float> mean = parameters_.get(layer.mean, s),
                             variance = parameters_.get(layer.variance, s);
    const Shape& shape = now.values()[static_cast<size_t>(layer.output)].spec.shape;
    const double n = static_cast<double>(shape.n() * shape.h() * shape.w()),
                 total = layer.count + n;
    for (size_t c = 0; c < mean.size(); ++c) {
      const double batch_mean = mean[c] / layer.momentum;
      const double batch_squares =
          variance[c] / layer.momentum * (n - 1);  // the running one is unbiased
      const double distance = batch_mean - layer.means[c];
      layer.means[c] += distance * n / total;
      layer.squares[c] += batch_squares + distance * distance * layer.count * n / total;
    }
    layer.count = total;
  }
}

void PopulationStatistics::write(StreamRef s) {
  for (const LayerStatistics& layer : layers_) {
    FT_CHECK(layer.count > 0, "statistics of no images");
    std::vector<float> mean(layer.means.begin(), layer.means.end()), variance;
    for (const double squares : layer.squares)
      variance.push_back(static_cast<float>(squares / layer.count));
    parameters_.set(layer.mean, mean, s);
    parameters_.set(layer.variance, variance, s);
  }
}

}  // namespace ft::app
