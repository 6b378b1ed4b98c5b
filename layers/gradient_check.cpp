// Gradient check by central differences.
#include "layers/gradient_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "tensor/rng.h"

namespace ft {
namespace {

std::span<double> elements(const Tensor& t) {
  return {t.as<double>(), static_cast<size_t>(t.shape().elements())};
}

void poison(const Tensor& t) {  // 0xFF... is not-a-number
  if (!t.empty()) std::memset(t.data(), 0xFF, t.bytes());
}

// One clone of a layer with all tensors of a pass. `in_place`: y lies in the memory of the input that the layer
// names, and its dx in that of dy.
class Rig {
 public:
  Rig(const Layer& layer, Backend& backend, const LayerCheckSetup& setup, uint64_t seed);

  const LayerPlan& plan() const { return plan_; }
  bool can_run_in_place() const { return plan_.in_place != -1 && !plan_.alias; }
  void forward(bool in_place);
  void backward(bool in_place);
  std::vector<Tensor> x, dx;
  std::vector<Parameter> parameters;
  std::vector<ParamView> params;
  Tensor y, dy;

 private:
  Tensor make(const TensorSpec& spec) { return Tensor(spec, backend_.allocator()); }
  Tensor make_bytes(size_t bytes) {
    return bytes == 0 ? Tensor{} : make({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain});
  }
  void draw(const Tensor& t, double centre, double scale);
  void draw_labels(const Tensor& labels);
  void draw_parameter(const Parameter& p, const Tensor& value);
  void make_inputs(const LayerCheckSetup& setup);
  void make_parameters(const Layer& layer, const LayerCheckSetup& setup);
  Pass pass(std::span<const Tensor> x_seen, const Tensor& y_seen, const Tensor& dy_seen,
            std::span<const Tensor> dx_seen) const {
    return {backend_, stream_->ref(), x_seen, y_seen,     dy_seen,
            dx_seen,  params,         aux_,   workspace_, state_};
  }

  Backend& backend_;
  uint64_t seed_, draws_ = 0;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Layer> layer_;
  LayerPlan plan_;
  std::vector<std::vector<double>> statistics_;  // running ones, put back before every forward
  Tensor aux_, workspace_, state_;
};

Rig::Rig(const Layer& layer, Backend& backend, const LayerCheckSetup& setup, uint64_t seed)
    : backend_(backend), seed_(seed), stream_(backend.make_stream()), layer_(layer.clone()) {
  make_inputs(setup);
  make_parameters(layer, setup);
  std::vector<TensorSpec> specs;
  std::vector<bool> wants_dx;
  for (const Tensor& t : x) {
    specs.push_back(t.spec());
    wants_dx.push_back(setup.wants_dx && t.spec().dtype == DType::f64);
    dx.push_back(wants_dx.back() ? make(t.spec()) : Tensor{});
  }
  const bool wants_dw =
      std::any_of(params.begin(), params.end(), [](const ParamView& p) { return !p.grad.empty(); });
  NumericsPolicy numerics;
  numerics.compute = DType::f64;
  plan_ = layer_->setup({backend, std::string(layer.kind()), 1, specs, setup.training, setup.bn,
                         DType::f64, wants_dx, wants_dw, numerics});
  y = plan_.alias ? x[0] : make(plan_.y);
  dy = make(plan_.y);
  draw(dy, 0, 1);
  aux_ = make_bytes(plan_.aux_bytes);
  workspace_ = make_bytes(plan_.workspace_bytes);
  const StepState state{seed, 3, 0, 0};
  state_ = make({{kStepStateWords}, DType::u64, Layout::plain});
  std::memcpy(state_.data(), &state, sizeof state);
}

void Rig::make_inputs(const LayerCheckSetup& setup) {
  for (size_t i = 0; i < setup.x.size(); ++i) {
    const DType dtype = setup.x_dtypes.empty() ? DType::f64 : setup.x_dtypes[i];
    x.push_back(make({setup.x[i], dtype, Layout::plain}));
    if (dtype == DType::f64) {
      draw(x[i], 0, 1);
    } else {
      draw_labels(x[i]);
    }
  }
}

void Rig::make_parameters(const Layer& layer, const LayerCheckSetup& setup) {
  parameters = layer.parameters(setup.x);
  for (const Parameter& p : parameters) {
    const TensorSpec spec{p.shape, DType::f64, Layout::plain};
    const bool trains = setup.wants_dw && p.trainable && !p.is_statistic();
    params.push_back({make(spec), trains ? make(spec) : Tensor{}, 1});
    draw_parameter(p, params.back().value);
    const auto values = elements(params.back().value);
    statistics_.emplace_back(values.begin(), values.end());
  }
}

void Rig::draw(const Tensor& t, double centre, double scale) {
  const Rng rng(seed_, RngPurpose::test, 1, draws_++);
  uint64_t i = 0;
  for (double& v : elements(t)) v = centre + scale * rng.normal(i++);
}

void Rig::draw_labels(const Tensor& labels) {
  FT_CHECK(labels.spec().dtype == DType::i32 && !x.empty(), "an input is f64 or holds labels");
  const Rng rng(seed_, RngPurpose::test, 1, draws_++);
  const auto classes = static_cast<uint32_t>(x[0].shape().per_sample());
  for (int64_t n = 0; n < labels.shape().elements(); ++n)
    labels.as<int32_t>()[n] =
        n == 1 ? -1 : static_cast<int32_t>(rng.below(static_cast<uint64_t>(n), classes));
}

void Rig::draw_parameter(const Parameter& p, const Tensor& value) {
  switch (p.role) {
    case ParamRole::weight:
      return draw(value, 0, 1 / std::sqrt(static_cast<double>(p.shape.per_sample())));
    case ParamRole::gamma:
      return draw(value, 1, 0.3);
    case ParamRole::running_var:
      return draw(value, 2, 0.3);
    case ParamRole::bias:
    case ParamRole::beta:
    case ParamRole::running_mean:
      return draw(value, 0.1, 0.5);
  }
}

void Rig::forward(bool in_place) {
  for (size_t i = 0; i < params.size(); ++i)
    if (parameters[i].is_statistic())
      std::copy(statistics_[i].begin(), statistics_[i].end(), params[i].value.as<double>());
  if (plan_.alias) return;
  for (const Tensor& t : {y, aux_, workspace_}) poison(t);
  std::vector<Tensor> seen = x;
  if (in_place && plan_.in_place >= plan_.backward_reads_x) {
    const auto over = static_cast<size_t>(plan_.in_place);
    std::memcpy(y.data(), x[over].data(), x[over].bytes());
    seen[over] = y;
  }
  layer_->forward(pass(seen, y, {}, {}));
}

// Everything that the layer did not ask for is gone by now.
void Rig::backward(bool in_place) {
  for (const Tensor& t : dx) poison(t);
  for (const ParamView& p : params) poison(p.grad);
  poison(workspace_);
  if (plan_.alias) {
    std::memcpy(dx[0].data(), dy.data(), dy.bytes());
    return;
  }
  std::vector<Tensor> x_seen = x, dx_seen = dx;
  for (size_t k = static_cast<size_t>(plan_.backward_reads_x); k < x_seen.size(); ++k)
    poison(x_seen[k] = make(x_seen[k].spec()));
  Tensor y_seen = y, dy_seen = dy;
  if (!plan_.backward_reads_y) poison(y_seen = make(y.spec()));
  if (in_place && !dx[static_cast<size_t>(plan_.in_place)].empty()) {
    const auto over = static_cast<size_t>(plan_.in_place);
    std::memcpy(dx[over].data(), dy.data(), dy.bytes());
    dy_seen = dx[over];
  }
  layer_->backward(pass(x_seen, y_seen, dy_seen, dx_seen));
}

// y for x moved by `step`; x is put back.
std::vector<double> moved(double& x, double step, const std::function<void()>& forward,
                          std::span<const double> y) {
  const double middle = x;
  x += step;
  forward();
  std::vector<double> result(y.begin(), y.end());  // before x is put back: y may be a view of it
  x = middle;
  return result;
}

// How far sum(dy * y) bends within two steps of x, all bends of y counted with the same sign. A
// smooth function bends by a step squared; a kink by about a step, and the central difference is
// off by at most this bend / (2 step).
double bend(double& x, double step, const std::function<void()>& forward, std::span<const double> y,
            std::span<const double> dy) {
  const std::vector<double> below = moved(x, -2 * step, forward, y);
  const std::vector<double> middle = moved(x, 0, forward, y),
                            above = moved(x, 2 * step, forward, y);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i)
    sum += std::abs(dy[i] * (above[i] + below[i] - 2 * middle[i]));
  return sum;
}

// sum(dy * (y(x + step) - y(x - step))) / (2 step)
double central_difference(double& x, double step, const std::function<void()>& forward,
                          std::span<const double> y, std::span<const double> dy) {
  const std::vector<double> below = moved(x, -step, forward, y);
  const std::vector<double> above = moved(x, step, forward, y);
  double sum = 0;
  for (size_t i = 0; i < y.size(); ++i) sum += dy[i] * (above[i] - below[i]);
  return sum / (2 * step);
}

}  // namespace

GradientCheck check_gradient(const std::string& name, std::span<double> x,
                             std::span<const double> dx, const std::function<void()>& forward,
                             std::span<const double> y, std::span<const double> dy,
                             const GradientCheckOptions& options) {
  GradientCheck check;
  check.name = name;
  bool off = false;
  // Checks one element; false where it is a kink.
  const auto try_element = [&](size_t i) {
    const double step = options.epsilon;
    const double numeric = central_difference(x[i], step, forward, y, dy);
    const double difference = std::abs(numeric - dx[i]);
    double error = difference / std::max({std::abs(numeric), std::abs(dx[i]), options.floor});
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    if (error > options.tolerance && std::isfinite(error)) {
      const double bent = bend(x[i], step, forward, y, dy);
      if (bent > options.kink * step && bent >= 2 * step * difference) return ++check.kinks, false;
    }
    ++check.checked;
    off = off || error > options.tolerance;
    if (check.worst < 0 || error > check.max_error) {
      check.max_error = error;
      check.worst = static_cast<int64_t>(i);
      check.numeric = numeric;
      check.analytic = dx[i];
    }
    return true;
  };
  const bool all = options.max_elements == 0 || options.max_elements >= std::ssize(x);
  const size_t count = all ? x.size() : static_cast<size_t>(options.max_elements);
  for (size_t k = 0; k < count; ++k) {
    const size_t first = k * x.size() / count, last = all ? first : first + 3;
    for (size_t i = first; i <= std::min(last, x.size() - 1); ++i)
      if (try_element(i)) break;
  }
  check.passed = !off && (x.empty() || (check.checked > 0 && check.kinks <= check.checked));
  return check;
}

std::vector<GradientCheck> check_layer_gradients(const Layer& layer, Backend& backend,
                                                 const LayerCheckSetup& setup,
                                                 const GradientCheckOptions& options) {
  FT_CHECK(backend.supports(DType::f64), "gradients are checked in f64, which ref alone has");
  Rig rig(layer, backend, setup, options.seed);
  std::vector<GradientCheck> checks;
  for (const bool in_place : {false, true}) {
    if (in_place && !rig.can_run_in_place()) continue;
    rig.forward(in_place);
    rig.backward(in_place);
    const auto check = [&](const std::string& name, const Tensor& x, const Tensor& dx) {
      if (dx.empty()) return;
      const std::vector<double> analytic(elements(dx).begin(), elements(dx).end());
      checks.push_back(check_gradient(
          in_place ? name + " in place" : name, elements(x), analytic,
          [&] { rig.forward(in_place); }, elements(rig.y), elements(rig.dy), options));
    };
    for (size_t i = 0; i < rig.x.size(); ++i) check(fmt::format("x{}", i), rig.x[i], rig.dx[i]);
    for (size_t i = 0; i < rig.params.size(); ++i)
      check(rig.parameters[i].name, rig.params[i].value, rig.params[i].grad);
  }
  return checks;
}

std::string GradientCheck::str() const {
  return fmt::format(
      "{}: {} {} elements, {} kinks left out; largest error {:.2e} at {}: numeric {:.10g}, "
      "analytic {:.10g}",
      name, passed ? "right in" : "WRONG in", checked, kinks, max_error, worst, numeric, analytic);
}

bool all_passed(std::span<const GradientCheck> checks) {
  return std::all_of(checks.begin(), checks.end(), [](const GradientCheck& c) { return c.passed; });
}

}  // namespace ft
