// Time of every pass of every op, on the cases of the one op-case table (apps/ops/op_cases.h): those of
// the networks at batch 32, or, with --ft_cases, the small odd ones of the tests.
//   ops_bench --ft_backend=cpu --ft_precision=f32 --benchmark_filter='conv2d/.*/forward/'
// A name is precision/case/pass. GFLOP/s counts 2 * multiply-adds of products, GB/s every operand once; the
// label is the algorithm. Weights are packed before, as they are where they are frozen.
#include <fmt/format.h>

#include "apps/ops/op_runs.h"
#include "bench/bench_main.h"

namespace ft::bench {
namespace {

using namespace ops;

// Google Benchmark calls a body several times; the plan and its operands are made at the first.
struct Prepared {
  std::string name;
  OpRun op;
};

void measure(benchmark::State& state, const OpMemory& memory, const OpRun& op) {
  Backend& backend = memory.backend();
  const StreamRef s = memory.stream();
  op.run();  // packs weights, wakes threads
  backend.synchronize(s);
  // On a device a batch of runs is queued before the host waits, as in a step.
  const int64_t batch = backend.device().kind == Device::Kind::cuda ? 16 : 1;
  while (state.KeepRunningBatch(batch)) {
    for (int64_t i = 0; i < batch; ++i) op.run();
    backend.synchronize(s);
  }
  using benchmark::Counter;
  if (op.flops > 0)
    state.counters["GFLOP/s"] = Counter(op.flops / 1e9, Counter::kIsIterationInvariantRate);
  state.counters["GB/s"] = Counter(op.bytes / 1e9, Counter::kIsIterationInvariantRate);
  state.SetLabel(op.algorithm);
}

int main_of(int argc, char** argv) {
  const Flags flags = parse_flags(argc, argv);
  const Machine machine = open_machine(flags);
  OpMemory memory(*machine.backend, machine.stream->ref());
  Prepared last;
  for (DType compute : precisions_of(flags, *machine.backend))
    for (const OpCase& c : op_cases()) {
      if (flags.cases != "all" && c.speed != (flags.cases == "networks")) continue;
      for (const PassName& pass : passes_of(c.op)) {
        const std::string name = fmt::format("{}/{}{}{}", name_of(compute), c.name,
                                             pass.name.empty() ? "" : "/", pass.name);
        add(name, [&memory, &last, &c, name, kind = pass.kind, compute](benchmark::State& state) {
          if (last.name != name) last = {name, prepare(memory, c.op, kind, {compute})};
          measure(state, memory, last.op);
        });
      }
    }
  return run();
}

}  // namespace
}  // namespace ft::bench

int main(int argc, char** argv) {
  return ft::bench::guarded([&] { return ft::bench::main_of(argc, argv); });
}
