// Grad-CAM on one image at a time.
#include "apps/ftrun/gradcam.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "models/patterns.h"

namespace ft::app {
namespace {

ValueId find_map(const Model& model, const std::string& name) {
  if (name.empty()) return model.feature_map;
  std::vector<std::string> names;
  for (const Value& v : model.graph.values())
    if (v.shape.rank() == 4) names.push_back(v.name);
  const ValueId v = model.graph.find(name);
  if (v != -1 && model.graph.values()[static_cast<size_t>(v)].shape.rank() == 4) return v;
  const std::string near = nearest_name(name, names);
  throw Error(2025, "--map", "\"" + name + "\" is not a node with a feature map",
              (near.empty() ? "" : "did you mean " + near + "? ") +
                  ("ftrun summary --model " + model.name + " lists the nodes"));
}

std::vector<float> read_plain(Backend& backend, const Tensor& t, StreamRef s) {
  const Tensor plain({t.shape(), DType::f32, Layout::plain}, backend.allocator());
  std::vector<float> host(static_cast<size_t>(t.shape().elements()));
  backend.convert(s, t, plain);
  backend.download(s, plain, host.data());
  backend.synchronize(s);
  return host;
}

}  // namespace

GradCam::GradCam(Network& network, Backend& backend, const NumericsPolicy& numerics,
                 const std::string& map, CamTarget target)
    : network_(network), backend_(backend), map_(find_map(network.model, map)), target_(target) {
  CompileOptions options;
  options.mode = Mode::inference;
  options.numerics = numerics;
  options.to = network.model.logits;
  options.keep_gradients = {map_};
  compiled_ = std::make_unique<CompiledGraph>(network.model.graph, backend, options);
  executor_ =
      std::make_unique<Executor>(*compiled_, *network.parameters, backend,
                                 make_arena(backend, {compiled_.get()}), make_step_state(backend));
}

std::string GradCam::note() const {
  const Value& map = network_.model.graph.values()[static_cast<size_t>(map_)];
  const int64_t cells = map.shape.h() * map.shape.w();
  if (cells > 9) return {};
  return fmt::format(
      "the map of {} is {}x{} and {} show a place; a larger input or an earlier map can (ftrun "
      "explain --map)",
      map.name, map.shape.h(), map.shape.w(), cells == 1 ? "cannot" : "can hardly");
}

Explained GradCam::explain(std::span<const uint8_t> pixels, int label, int target, StreamRef s) {
  const Tensor device(
      {{1, network_.recipe.height, network_.recipe.width, 3}, DType::u8, Layout::plain},
      backend_.allocator());
  FT_CHECK(pixels.size() == device.bytes(),
           "the picture does not have the size of the network's input");
  backend_.upload(s, pixels.data(), device);
  backend_.normalize_image(s, normalize_spec(network_.recipe), device,
                           executor_->value(network_.model.image));
  executor_->forward(s);
  Explained out;
  out.result = judge(read_plain(backend_, executor_->value(network_.model.logits), s), 0, label);
  out.target = target == -1 ? out.result.predicted : target;
  std::vector<float> seed(out.result.p.size(), 0.0f);
  const double p = out.result.p[static_cast<size_t>(out.target)];
  for (size_t k = 0; k < seed.size(); ++k) {
    const double one = static_cast<int>(k) == out.target ? 1.0 : 0.0;
    seed[k] = static_cast<float>(target_ == CamTarget::logit ? one : p * (one - out.result.p[k]));
  }
  backend_.upload(s, seed.data(), executor_->gradient(network_.model.logits));
  executor_->backward(s);
  backend_.synchronize(s);
  out.heat = heat_of(s);
  return out;
}

// weight[c] = mean over h,w of d[c,h,w]; heat[h,w] = max(0, sum over c of weight[c] * a[c,h,w]).
Heatmap GradCam::heat_of(StreamRef s) const {
  const std::vector<float> a = read_plain(backend_, executor_->value(map_), s);
  const std::vector<float> d = read_plain(backend_, executor_->gradient(map_), s);
  const Shape& shape = compiled_->values()[static_cast<size_t>(map_)].spec.shape;
  const size_t cells = static_cast<size_t>(shape.h() * shape.w());
  std::vector<double> sum(cells, 0);
  for (size_t c = 0; c < static_cast<size_t>(shape.c()); ++c) {
    double weight = 0;
    for (size_t i = 0; i < cells; ++i) weight += d[c * cells + i];
    weight /= static_cast<double>(cells);
    for (size_t i = 0; i < cells; ++i) sum[i] += weight * a[c * cells + i];
  }
  const double top = *std::ranges::max_element(sum);
  Heatmap heat{static_cast<int>(shape.w()), static_cast<int>(shape.h()), {}};
  for (double v : sum)
    heat.values.push_back(top > 0 ? static_cast<float>(std::max(v, 0.0) / top) : 0.0f);
  return heat;
}

float heat_at(const Heatmap& heat, int x, int y, int width, int height) {
  const auto place = [](int i, int n, int cells, int& low, int& high) {
    const double at = std::clamp((i + 0.5) * cells / n - 0.5, 0.0, cells - 1.0);
    low = static_cast<int>(at);
    high = std::min(low + 1, cells - 1);
    return at - low;
  };
  int x0, x1, y0, y1;
  const double fx = place(x, width, heat.width, x0, x1), fy = place(y, height, heat.height, y0, y1);
  const auto v = [&](int cx, int cy) {
    return static_cast<double>(heat.values[static_cast<size_t>(cy * heat.width + cx)]);
  };
  return static_cast<float>((1 - fy) * ((1 - fx) * v(x0, y0) + fx * v(x1, y0)) +
                            fy * ((1 - fx) * v(x0, y1) + fx * v(x1, y1)));
}

}  // namespace ft::app
