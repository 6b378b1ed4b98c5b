// ftrun bench: time of a training or inference step on synthetic input.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/network.h"
#include "apps/ftrun/progress.h"
#include "layers/executor.h"
#include "models/transfer.h"
#include "optim/sgd.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

using Clock = std::chrono::steady_clock;

// A network with drawn weights and one compiled step over drawn pixels.
struct Bench {
  Network network;
  std::unique_ptr<CompiledGraph> compiled;
  std::unique_ptr<Executor> executor;
  std::unique_ptr<Sgd> sgd;
  Tensor arena, state, pixels;
  bool training;

  Bench(const BenchOptions& o, Backend& backend, StreamRef s) : training(o.mode == "train") {
    const ModelInfo& info = find_model(o.model);
    const int side = o.input_size.value_or(info.recipe.input_size);
    network.model = build_model(info, o.classes, side, side);
    network.recipe = published_recipe(info, side, side);
    TransferOptions transfer;
    transfer.pretrained = o.head_only || !o.unfreeze.empty();
    transfer.freeze = o.freeze;
    transfer.unfreeze = o.unfreeze;
    apply_transfer(network.model, transfer);
    if (!training)
      for (Parameter& p : network.model.graph.parameters()) p.trainable = false;
    network.parameters = std::make_unique<ParameterSet>(network.model.graph, backend);
    network.parameters->initialize(o.common.seed, s);
    CompileOptions compile;
    compile.batch = o.batch;
    compile.mode = training ? Mode::training : Mode::inference;
    compile.numerics = numerics_of(o.common.precision, backend);
    compile.to = training ? -1 : network.model.logits;
    if (training) compile.keep = {network.model.labels};  // written once for all steps
    compiled = std::make_unique<CompiledGraph>(network.model.graph, backend, compile);
    arena = make_arena(backend, {compiled.get()});
    state = make_step_state(backend);
    executor = std::make_unique<Executor>(*compiled, *network.parameters, backend, arena, state);
    sgd = std::make_unique<Sgd>(*network.parameters, backend, SgdOptions{});
    fill(o, side, backend, s);
  }

  void fill(const BenchOptions& o, int side, Backend& backend, StreamRef s) {
    pixels = Tensor({{o.batch, side, side, 3}, DType::u8, Layout::plain}, backend.allocator());
    std::vector<uint8_t> host(pixels.bytes());
    const Rng rng(o.common.seed, RngPurpose::test);
    for (size_t i = 0; i < host.size(); i += 4) {
      const uint32_t bits = rng.bits(i);
      for (size_t k = 0; k < 4 && i + k < host.size(); ++k) host[i + k] = static_cast<uint8_t>(bits >> (8 * k));
    }
    backend.upload(s, host.data(), pixels);
    if (training) {
      std::vector<int32_t> labels(static_cast<size_t>(o.batch));
      for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % static_cast<size_t>(o.classes));
      const std::vector<float> seed(labels.size(), 1.0f / static_cast<float>(o.batch));
      backend.upload(s, labels.data(), executor->value(network.model.labels));
      backend.upload(s, seed.data(), executor->gradient(network.model.loss));
      backend.synchronize(s);
    }
    const StepState step{o.common.seed, 0, 0, 1e-4};
    backend.upload(s, &step, state);
    backend.synchronize(s);
  }

  void step(Backend& backend, StreamRef s) {
    backend.normalize_image(s, normalize_spec(network.recipe), pixels, executor->value(network.model.image));
    executor->forward(s);
    if (training) {
      executor->backward(s);
      sgd->step(s, network.parameters->gradients(), state);
    }
    backend.synchronize(s);
  }
};

}  // namespace

int run_bench(const BenchOptions& o) {
  const ChosenBackend chosen = choose_backend(o.common.device, {o.common.threads});
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  const auto start = Clock::now();
  Bench bench(o, backend, stream->ref());
  const double setup_s = std::chrono::duration<double>(Clock::now() - start).count();
  bench.step(backend, stream->ref());
  bench.step(backend, stream->ref());
  std::vector<double> seconds;
  for (int64_t i = 0; i < o.steps; ++i) {
    const auto before = Clock::now();
    bench.step(backend, stream->ref());
    seconds.push_back(std::chrono::duration<double>(Clock::now() - before).count());
  }
  std::ranges::sort(seconds);
  const double median = seconds[seconds.size() / 2];
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const double rate = static_cast<double>(o.batch) / median;
  if (o.json) {
    const nlohmann::json json = {{"model", o.model}, {"mode", o.mode}, {"batch", o.batch},
                                 {"precision", o.common.precision}, {"head_only", o.head_only},
                                 {"device", backend.describe()}, {"images_per_s", rate},
                                 {"step_ms", 1e3 * median}, {"step_ms_min", 1e3 * seconds.front()},
                                 {"step_ms_max", 1e3 * seconds.back()}, {"setup_s", setup_s},
                                 {"arena_bytes", bench.arena.bytes()},
                                 {"peak_bytes", static_cast<int64_t>(usage.ru_maxrss) * 1024}};
    fmt::print("{}\n", json.dump());
    return 0;
  }
  fmt::print("{} {} batch {} {}{} on {}\n", o.model, o.mode, o.batch, o.common.precision,
             o.head_only ? ", head only" : "", backend.describe());
  fmt::print("{:.1f} images/s; a step {:.1f} ms (median of {}; {:.1f} to {:.1f}); setup {}; arena {}; peak memory {}\n",
             rate, 1e3 * median, o.steps, 1e3 * seconds.front(), 1e3 * seconds.back(), duration_text(setup_s),
             bytes_text(static_cast<double>(bench.arena.bytes())), bytes_text(1024.0 * static_cast<double>(usage.ru_maxrss)));
  return 0;
}

}  // namespace ft::app
