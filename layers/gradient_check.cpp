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

// One clone of a layer with all tensors of a pass. `in_place`: y lies in the memory of input 0, and
// dx of input 0 in that of dy.
class Rig {
 public:
  Rig(const Layer& layer, Backend& backend, const LayerCheckSetup& setup, uint64_t seed);

  const LayerPlan& plan() const { return plan_; }
  bool can_run_in_place() const {
    return plan_.may_overwrite_x && !plan_.alias && !plan_.backward_reads_x;
  }
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
  if (in_place) {
    std::memcpy(y.data(), x[0].data(), x[0].bytes());
    seen[0] = y;
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
  if (!plan_.backward_reads_x)
    for (Tensor& t : x_seen) poison(t = make(t.spec()));
  Tensor y_seen = y, dy_seen = dy;
  if (!plan_.backward_reads_y) poison(y_seen = make(y.spec()));
  if (in_place) {
    std::memcpy(dx[0].data(), dy.data(), dy.bytes());
    dy_seen = dx[0];
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

// Whether y bends by a step or so within two steps of x: a smooth function bends by a step squared.
bool has_kink(double& x, double step, const std::function<void()>& forward,
              std::span<const double> y) {
  const std::vector<double> below = moved(x, -2 * step, forward, y);
  const std::vector<double> middle = moved(x, 0, forward, y),
                            above = moved(x, 2 * step, forward, y);
  double bend = 0;
  for (size_t i = 0; i < y.size(); ++i)
    bend = std::max(bend, std::abs(above[i] + below[i] - 2 * middle[i]));
  return bend > 0.01 * step;
}

}  // namespace

GradientCheck check_gradient(const std::string& name, std::span<double> x,
                             std::span<const double> dx, const std::function<void()>& forward,
                             std::span<const double> y, std::span<const double> dy,
                             const GradientCheckOptions& options) {
  GradientCheck check;
  check.name = name;
  const size_t wanted =
      options.max_elements == 0 ? x.size() : static_cast<size_t>(options.max_elements);
  const size_t count = std::min(wanted, x.size());
  bool off = false;
  for (size_t k = 0; k < count; ++k) {
    const size_t i = k * x.size() / count;
    const std::vector<double> below = moved(x[i], -options.epsilon, forward, y);
    const std::vector<double> above = moved(x[i], options.epsilon, forward, y);
    double numeric = 0;
    for (size_t j = 0; j < y.size(); ++j)
      numeric += dy[j] * (above[j] - below[j]) / (2 * options.epsilon);
    double error =
        std::abs(numeric - dx[i]) / std::max({std::abs(numeric), std::abs(dx[i]), options.floor});
    if (!std::isfinite(error)) error = std::numeric_limits<double>::infinity();
    if (error > options.tolerance && std::isfinite(error) &&
        has_kink(x[i], options.epsilon, forward, y)) {
      ++check.kinks;
      continue;
    }
    ++check.checked;
    off = off || error > options.tolerance;
    if (check.worst >= 0 && !(error > check.max_error)) continue;
    check.max_error = error;
    check.worst = static_cast<int64_t>(i);
    check.numeric = numeric;
    check.analytic = dx[i];
  }
  const bool enough = check.checked > 0 && 3 * check.kinks <= check.checked;
  check.passed = !off && (x.empty() || enough);
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
