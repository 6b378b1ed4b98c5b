// Gradient check of a compiled graph.
#include "layers/graph_gradient_check.h"

#include <cstring>

#include "layers/executor.h"
#include "tensor/rng.h"

namespace ft {
namespace {

std::span<double> elements(const Tensor& t) {
  return {t.as<double>(), static_cast<size_t>(t.shape().elements())};
}

void draw(std::span<double> values, uint64_t seed, uint64_t what) {
  const Rng rng(seed, RngPurpose::test, 2, what);
  for (size_t i = 0; i < values.size(); ++i) values[i] = rng.normal(i);
}

// Labels of the classes of the value that they are compared with.
void draw_labels(const Graph& graph, const Value& input, const Tensor& labels, uint64_t seed) {
  const Node& user = graph.nodes()[static_cast<size_t>(input.users.at(0))];
  const Value& logits = graph.values()[static_cast<size_t>(user.inputs[0])];
  const Rng rng(seed, RngPurpose::test, 3);
  for (int64_t n = 0; n < labels.shape().elements(); ++n)
    labels.as<int32_t>()[n] = static_cast<int32_t>(
        rng.below(static_cast<uint64_t>(n), static_cast<uint32_t>(logits.shape.per_sample())));
}

}  // namespace

GradientCheckOptions network_gradient_options() {
  GradientCheckOptions options;
  options.epsilon = 1e-6;
  options.tolerance =
      1e-4;  // without batch statistics 16 residual sums let activations, and rounding, grow 256-fold
  options.floor = 1e-2;
  options.kink = 0;
  return options;
}

std::vector<GradientCheck> check_graph_gradients(const Graph& graph, Backend& backend,
                                                 CompileOptions compile,
                                                 const GradientCheckOptions& options) {
  FT_CHECK(backend.supports(DType::f64), "gradients are checked in f64, which ref alone has");
  std::vector<ValueId> images;
  for (size_t v = 0; v < graph.values().size(); ++v)
    if (graph.values()[v].producer == -1 && graph.values()[v].dtype != DType::i32)
      images.push_back(static_cast<ValueId>(v));
  compile.mode = Mode::training;
  compile.numerics.compute = DType::f64;
  compile.keep_gradients = images;
  for (size_t v = 0; v < graph.values().size(); ++v)
    if (graph.values()[v].producer == -1) compile.keep.push_back(static_cast<ValueId>(v));

  const auto stream = backend.make_stream();
  ParameterSet parameters(graph, backend, DType::f64);
  parameters.initialize(options.seed, stream->ref());
  CompiledGraph compiled(graph, backend, compile);
  const Tensor arena = make_arena(backend, {&compiled});
  std::memset(arena.data(), 0xFF,
              arena.bytes());  // not-a-number: nothing is read before it is written
  Executor executor(compiled, parameters, backend, arena, make_step_state(backend));

  for (size_t v = 0; v < graph.values().size(); ++v) {
    const Value& input = graph.values()[v];
    if (input.producer != -1 || !compiled.values()[v].used) continue;
    const Tensor t = executor.value(static_cast<ValueId>(v));
    if (input.dtype == DType::i32) {
      draw_labels(graph, input, t, options.seed);
    } else {
      draw(elements(t), options.seed, v);
    }
  }
  const auto forward = [&] { executor.forward(stream->ref()); };
  const std::span<double> y = elements(executor.value(compiled.output()));
  const std::span<double> dy = elements(executor.gradient(compiled.output()));
  draw(dy, options.seed, graph.values().size());
  forward();
  executor.backward(stream->ref());

  std::vector<GradientCheck> checks;
  const auto check = [&](const std::string& name, const Tensor& x, const Tensor& dx) {
    const std::vector<double> analytic(elements(dx).begin(), elements(dx).end());
    checks.push_back(check_gradient(name, elements(x), analytic, forward, y, dy, options));
  };
  for (ValueId v : images)
    check(graph.values()[static_cast<size_t>(v)].name, executor.value(v), executor.gradient(v));
  for (size_t p = 0; p < graph.parameters().size(); ++p) {
    const int index = static_cast<int>(p);
    if (!parameters.grad(index).empty())
      check(graph.parameters()[p].name, parameters.value(index), parameters.grad(index));
  }
  return checks;
}

}  // namespace ft
