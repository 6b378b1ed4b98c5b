// The trainer's loop on the simulated device: by the end of step 1 it has taken all that it takes, and then it neither
// waits for the device nor copies memory that the device cannot fetch by itself.
#include <gtest/gtest.h>

#include "apps/ftrun/trainer.h"
#include "tests/apps/small_network.h"
#include "tests/sim/sim.h"

namespace ft::test {
namespace {

using namespace ft::app;

constexpr int64_t kSteps = 9, kBatch = 4;

struct Case {
  std::vector<std::string> trainable;
  DType dtype = DType::f32;
  int64_t micro_batch = kBatch;
};

std::map<std::string, int64_t> since(const std::map<std::string, int64_t>& before) {
  auto now = sim::counts();
  for (const auto& [what, number] : before) now[what] -= number;
  return now;
}

// What kSteps steps call after the first of them was queued.
std::map<std::string, int64_t> calls_after_step_1(const Case& c) {
  const auto backend = make_backend({Device::Kind::cuda, 0}, {1});
  const auto stream = backend->make_stream();
  Network network = small_network(*backend, stream->ref(), c.trainable);
  TrainerOptions options;
  options.batch = kBatch;
  options.micro_batch = c.micro_batch;
  options.ahead = 2;
  options.schedule.base = 0.01;
  options.numerics.compute = c.dtype;
  const int64_t samples = kBatch * kSteps;
  Feed feed(network, *backend, options.numerics, c.micro_batch, find_cut(network.model, {}).value,
            true);
  Trainer trainer(network, *backend, feed, options, samples);
  size_t bytes = feed.front() == nullptr ? 0 : feed.front()->compiled().arena_bytes();
  for (const CompiledGraph* g : trainer.compilations()) bytes = std::max(bytes, g->arena_bytes());
  const Tensor arena({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain},
                     backend->allocator());
  const Tensor state = make_step_state(*backend);
  feed.bind(arena, state);
  trainer.bind(arena, state);

  DrawnImages images(static_cast<size_t>(samples), 1);
  LoaderOptions l;
  l.batch = kBatch;
  l.height = network.recipe.height;
  l.width = network.recipe.width;
  l.workers = 0;
  l.hold = 3;
  const Tensor memory({{static_cast<int64_t>(Loader::memory_bytes(l))}, DType::u8, Layout::plain},
                      backend->host_allocator());
  l.memory = {memory.as<uint8_t>(), memory.bytes()};
  Loader loader(images.samples, images.decode(), l);
  loader.start(0);
  const auto name = [](uint32_t) { return std::string("image"); };
  std::map<std::string, int64_t> before;
  while (const Batch* batch = loader.next()) {
    trainer.step({*batch}, stream->ref(), name);
    if (before.empty()) before = sim::counts();
  }
  auto calls = since(before);
  while (trainer.finish(stream->ref(), name)) {
  }
  return calls;
}

TEST(TrainingTest, nothing_is_taken_or_waited_for_after_step_1) {
  const std::vector<std::string> all{"conv", "bn", "fc"}, head{"fc2"};
  for (const Case& c :
       {Case{all}, {head}, {all, DType::bf16}, {head, DType::bf16}, {all, DType::f32, 2}}) {
    SCOPED_TRACE(c.trainable.front() + " " + std::string(name_of(c.dtype)));
    auto calls = calls_after_step_1(c);
    for (const char* what :
         {"cudaMalloc", "cudaHostAlloc", "cudaFree", "cudaFreeHost", "blocks of memory",
          "bytes of memory", "cudaStreamCreateWithFlags", "cudaEventCreateWithFlags",
          "cudnnBackendCreateDescriptor", "cublasLtMatmulDescCreate",
          "cublasLtMatmulAlgoGetHeuristic", "cudaStreamSynchronize", "copies of pageable memory"})
      EXPECT_EQ(calls[what], 0) << what;
    EXPECT_EQ(calls["cudaEventSynchronize"], kSteps - 2)
        << "reports that were read, two steps later";
    EXPECT_GT(calls["cudaGraphLaunch"], 0);
  }
}

}  // namespace
}  // namespace ft::test
