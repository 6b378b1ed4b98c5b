// The convolutions and matrix products of a network alone, one after the other with nothing between them:
// what a step could reach if everything else cost nothing. A step's own rate (ftrun bench) as a share of
// this one says how well the rest is hidden; bench/steps.py prints that share.
//   nets_bench --benchmark_filter='^f32/resnet50/'
// train: every layer trains. head_only: forward, and the head's gradients. infer: forward. Weights are packed
// before, as they are where they are frozen.
#include <fmt/format.h>

#include "apps/ops/net_products.h"
#include "apps/ops/op_runs.h"
#include "bench/bench_main.h"

namespace ft::bench {
namespace {

using namespace ops;

constexpr int64_t kBatch = 32, kClasses = 2;

enum class Mode { train, head_only, infer };
constexpr std::pair<Mode, const char*> kModes[] = {
    {Mode::train, "train"}, {Mode::head_only, "head_only"}, {Mode::infer, "infer"}};

// The backward passes of one node. Nobody needs the gradient of the pixels, nor that of a frozen part.
PassSet backward_of(const Model& model, const Node& node, Mode mode) {
  if (mode == Mode::infer) return {};
  if (mode == Mode::head_only) return {false, node.name == model.head};
  return {node.inputs[0] != model.image, true};
}

// In the order of a step: forward, then backward from the last node on.
std::vector<OpRun> products_of(OpMemory& memory, const Model& model, Mode mode, DType compute) {
  std::vector<OpRun> forward, backward;
  for (const Node& node : model.graph.nodes()) {
    const auto op = product_of(model, node, kBatch, backward_of(model, node, mode));
    if (!op) continue;
    for (const PassName& pass : passes_of(*op))
      (pass.kind == PassKind::forward ? forward : backward)
          .push_back(prepare(memory, *op, pass.kind, {compute}));
  }
  forward.insert(forward.end(), backward.rbegin(), backward.rend());
  return forward;
}

// Google Benchmark calls a body several times; plans and operands are made at the first.
struct Prepared {
  std::string name;
  std::unique_ptr<OpMemory> memory;
  std::vector<OpRun> step;
};

Prepared prepare_net(const std::string& name, const Machine& machine, const ModelInfo& info,
                     Mode mode, DType compute) {
  const int side = info.recipe.input_size;
  const Model model = build_model(info, kClasses, side, side);
  Prepared p{name, std::make_unique<OpMemory>(*machine.backend, machine.stream->ref()), {}};
  p.step = products_of(*p.memory, model, mode, compute);
  return p;
}

void measure(benchmark::State& state, const Prepared& net) {
  double flops = 0;
  for (const OpRun& op : net.step) {
    op.run();  // packs weights
    flops += op.flops;
  }
  Backend& backend = net.memory->backend();
  backend.synchronize(net.memory->stream());
  for (auto _ : state) {
    for (const OpRun& op : net.step) op.run();
    backend.synchronize(net.memory->stream());
  }
  using benchmark::Counter;
  state.counters["images/s"] = Counter(kBatch, Counter::kIsIterationInvariantRate);
  state.counters["GFLOP/s"] = Counter(flops / 1e9, Counter::kIsIterationInvariantRate);
  state.SetLabel(fmt::format("{} products", net.step.size()));
}

int main_of(int argc, char** argv) {
  const Flags flags = parse_flags(argc, argv);
  const Machine machine = open_machine(flags);
  Prepared last;
  for (DType compute : precisions_of(flags, *machine.backend))
    for (const ModelInfo& info : all_models())
      for (const auto& [mode, mode_name] : kModes) {
        const std::string name = fmt::format("{}/{}/{}", name_of(compute), info.name, mode_name);
        add(name, [&machine, &last, &info, name, mode = mode, compute](benchmark::State& state) {
          if (last.name != name) {
            last = {};  // gives its memory back first
            last = prepare_net(name, machine, info, mode, compute);
          }
          measure(state, last);
        });
      }
  return run();
}

}  // namespace
}  // namespace ft::bench

int main(int argc, char** argv) {
  return ft::bench::guarded([&] { return ft::bench::main_of(argc, argv); });
}
