// The number of a step lies in device memory: whatever is random about step n is the same in a run that came there and
// in one that begins there, planned, recorded or replayed.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <numeric>

#include "optim/sgd.h"
#include "tensor/rng.h"
#include "tests/apps/small_network.h"
#include "tests/support/backend_test.h"

namespace ft::test {
namespace {

using namespace ft::app;

constexpr int64_t kBatch = 6;

// Steps of the small network as a trainer makes them: the first as it stands, the second recorded, then replays.
class Steps {
 public:
  // What a run keeps from step to step.
  struct State {
    std::vector<std::vector<float>> parameters;
    std::vector<float> velocity;
    bool operator==(const State&) const = default;
  };

  explicit Steps(const BackendCase& c)
      : backend_(make_backend(parse_device(c.device), {2})),
        stream_(backend_->make_stream()),
        network_(small_network(*backend_, s(), {"conv", "bn", "fc"})) {
    CompileOptions compile;
    compile.batch = kBatch;
    compile.mode = Mode::training;
    compile.numerics.compute = c.dtype;
    feed_ = std::make_unique<Feed>(network_, *backend_, compile.numerics, kBatch);
    sgd_ = std::make_unique<Sgd>(*network_.parameters, *backend_, SgdOptions{});
    graph_ = std::make_unique<CompiledGraph>(network_.model.graph, *backend_, compile);
    arena_ = make_arena(*backend_, {graph_.get()});
    device_state_ = make_step_state(*backend_);
    executor_ =
        std::make_unique<Executor>(*graph_, *network_.parameters, *backend_, arena_, device_state_);
  }

  // Step `number`, on the images of every other; its losses.
  std::vector<float> run(uint64_t number) {
    load(number);
    const auto work = [this] {
      executor_->forward(s());
      executor_->backward(s());
      sgd_->step(s(), network_.parameters->gradients(), device_state_);
    };
    if (done_++ == 0) {
      work();
    } else {
      if (!replay_) replay_ = backend_->capture(s(), work);
      replay_();
      network_.parameters->values_changed();
    }
    return floats(executor_->value(network_.model.loss));
  }

  State state() {
    State state;
    for (size_t i = 0; i < network_.model.graph.parameters().size(); ++i)
      state.parameters.push_back(network_.parameters->get(static_cast<int>(i), s()));
    state.velocity = floats(sgd_->velocity());
    return state;
  }
  void set(const State& state) {
    for (size_t i = 0; i < state.parameters.size(); ++i)
      network_.parameters->set(static_cast<int>(i), state.parameters[i], s());
    backend_->upload(s(), state.velocity.data(), sgd_->velocity());
    backend_->synchronize(s());
  }

 private:
  StreamRef s() const { return stream_->ref(); }

  void load(uint64_t number) {
    const std::array<uint64_t, kStepStateInputs> words{5, number, 0, std::bit_cast<uint64_t>(0.01)};
    backend_->upload(s(), words.data(), device_state_.slice(0, {kStepStateInputs}));
    std::vector<uint8_t> pixels(
        static_cast<size_t>(kBatch * network_.recipe.height * network_.recipe.width * 3));
    const Rng rng(3, RngPurpose::test, 0, 0);
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<uint8_t>(rng.bits(i));
    std::vector<uint32_t> samples(kBatch);
    std::iota(samples.begin(), samples.end(), 0);
    std::vector<int32_t> labels(kBatch);
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int32_t>(i % 3);
    const std::vector<float> seeds(kBatch, 1.0f / kBatch);
    const Batch batch{0, 0, false, pixels, labels, samples};
    feed_->load({batch}, 0, kBatch, *executor_, s());
    backend_->upload(s(), labels.data(), executor_->value(network_.model.labels));
    backend_->upload(s(), seeds.data(), executor_->gradient(network_.model.loss));
    backend_->synchronize(s());
  }

  std::vector<float> floats(const Tensor& t) const {
    std::vector<float> values(static_cast<size_t>(t.shape().elements()));
    backend_->download(s(), t, values.data());
    backend_->synchronize(s());
    return values;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Stream> stream_;
  Network network_;
  std::unique_ptr<Feed> feed_;
  std::unique_ptr<Sgd> sgd_;
  std::unique_ptr<CompiledGraph> graph_;
  Tensor arena_, device_state_;
  std::unique_ptr<Executor> executor_;
  std::function<void()> replay_;
  int64_t done_ = 0;
};

class StepCounterTest : public BackendTest {};
INSTANTIATE_TEST_SUITE_P(Backends, StepCounterTest,
                         testing::ValuesIn(backend_cases({DType::f32, DType::bf16})), param_name);

TEST_P(StepCounterTest, a_run_that_begins_at_a_step_goes_on_as_one_that_came_there) {
  constexpr uint64_t kCut = 3, kEnd = 7;
  Steps whole(GetParam());
  std::vector<std::vector<float>> losses;
  Steps::State middle;
  for (uint64_t n = 0; n < kEnd; ++n) {
    if (n == kCut) middle = whole.state();
    losses.push_back(whole.run(n));
  }
  Steps begun(GetParam());
  begun.set(middle);
  for (uint64_t n = kCut; n < kEnd; ++n) EXPECT_EQ(begun.run(n), losses[n]) << "step " << n;
  EXPECT_TRUE(begun.state() == whole.state());
}

TEST_P(StepCounterTest, another_step_draws_other_masks) {
  Steps a(GetParam()), b(GetParam());
  const Steps::State start = a.state();
  b.set(start);
  EXPECT_EQ(a.run(4), b.run(4));
  a.set(start);
  b.set(start);
  EXPECT_NE(a.run(5), b.run(6));
}

}  // namespace
}  // namespace ft::test
