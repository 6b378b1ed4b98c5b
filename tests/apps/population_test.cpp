// Population statistics: against mean and variance computed directly, whatever the batches.
#include "apps/ftrun/population.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/apps/small_network.h"

namespace ft::test {
namespace {

using namespace ft::app;

constexpr int64_t kImages = 23;

// A network all of whose layers train, and a trainer for it.
struct Rig {
  std::unique_ptr<Backend> backend = make_backend({}, {1});
  std::unique_ptr<Stream> stream = backend->make_stream();
  Network network = small_network(*backend, stream->ref(), {"conv", "bn", "fc"});
  Feed feed;
  Trainer trainer;
  Tensor arena, state;
  DrawnImages images{kImages, 3};

  Rig(int64_t batch, int64_t micro_batch)
      : feed(network, *backend, {}, micro_batch),
        trainer(network, *backend, feed, options(batch, micro_batch), kImages) {
    size_t bytes = 0;
    for (const CompiledGraph* g : trainer.compilations()) bytes = std::max(bytes, g->arena_bytes());
    arena = Tensor({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain}, backend->allocator());
    state = make_step_state(*backend);
    feed.bind(arena, state);
    trainer.bind(arena, state);
  }
  static TrainerOptions options(int64_t batch, int64_t micro_batch) {
    TrainerOptions o;
    o.batch = batch;
    o.micro_batch = micro_batch;
    return o;
  }
  LoaderOptions loading(int64_t batch) const {
    LoaderOptions l;
    l.batch = batch;
    l.height = network.recipe.height;
    l.width = network.recipe.width;
    l.shuffle = Shuffle::never;
    l.workers = 0;
    return l;
  }
  void settle(int64_t batch) {
    PopulationStatistics statistics = trainer.make_statistics();
    Loader loader(images.samples, images.decode(), loading(batch));
    loader.start(0);
    while (const Batch* b = loader.next()) trainer.observe({*b}, statistics, stream->ref());
    statistics.write(stream->ref());
  }
  std::vector<float> get(const std::string& name) const {
    return network.parameters->get(network.model.graph.find_parameter(name), stream->ref());
  }
};

// Mean and variance of every channel of conv1 over all images, in double.
std::pair<std::vector<double>, std::vector<double>> direct(Rig& rig) {
  CompileOptions options;
  options.batch = kImages;
  options.to = rig.network.model.graph.find("conv1");
  CompiledGraph compiled(rig.network.model.graph, *rig.backend, options);
  const Tensor arena = make_arena(*rig.backend, {&compiled});
  Executor executor(compiled, *rig.network.parameters, *rig.backend, arena, rig.state);
  rig.feed.bind(arena, rig.state);
  Loader loader(rig.images.samples, rig.images.decode(), rig.loading(kImages));
  loader.start(0);
  Feed whole(rig.network, *rig.backend, {}, kImages);
  whole.load({*loader.next()}, 0, kImages, executor, rig.stream->ref());
  executor.forward(rig.stream->ref());
  const Tensor y = executor.value(options.to);
  const Shape shape = y.shape();
  const int64_t per = shape.h() * shape.w();
  std::vector<double> mean(static_cast<size_t>(shape.c())), variance(mean.size());
  for (const bool second : {false, true})
    for (int64_t n = 0; n < shape.n(); ++n)
      for (int64_t c = 0; c < shape.c(); ++c)
        for (int64_t i = 0; i < per; ++i) {
          const double v = y.as<float>()[(n * shape.c() + c) * per + i];
          const auto k = static_cast<size_t>(c);
          const double share = 1.0 / static_cast<double>(shape.n() * per);
          if (second) {
            variance[k] += share * (v - mean[k]) * (v - mean[k]);
          } else {
            mean[k] += share * v;
          }
        }
  return {mean, variance};
}

TEST(Population, statistics_are_those_of_all_images_whatever_the_batches) {
  for (const auto& [batch, micro] : {std::pair{23, 23}, {8, 8}, {10, 4}}) {
    Rig rig(batch, micro);
    const auto [mean, variance] = direct(rig);
    rig.settle(batch);
    const std::vector<float> seen_mean = rig.get("bn1.running_mean"),
                             seen_variance = rig.get("bn1.running_var");
    for (size_t c = 0; c < mean.size(); ++c) {
      EXPECT_NEAR(seen_mean[c], mean[c], 1e-5 * (1 + std::fabs(mean[c]))) << batch;
      EXPECT_NEAR(seen_variance[c], variance[c], 1e-5 * (1 + variance[c])) << batch;
    }
  }
}

// Nothing else changes: weights, and the number of steps.
TEST(Population, a_pass_for_statistics_trains_nothing) {
  Rig rig(8, 8);
  const std::vector<float> before = rig.get("conv2.weight"), gamma = rig.get("bn2.weight");
  rig.settle(8);
  EXPECT_EQ(before, rig.get("conv2.weight"));
  EXPECT_EQ(gamma, rig.get("bn2.weight"));
  EXPECT_EQ(rig.trainer.state().step, 0);
  EXPECT_FALSE(rig.trainer.make_statistics().empty());
}

}  // namespace
}  // namespace ft::test
