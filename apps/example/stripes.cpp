// The library without its driver: a small convolutional network learns to tell upright stripes from lying ones. All that
// a training program needs is here: a graph, its parameters, a compiled step, an executor, an optimizer.
// Prints the loss as it falls; status 1 if it did not learn.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/executor.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "optim/sgd.h"
#include "tensor/rng.h"

namespace {

constexpr int64_t kBatch = 32, kSide = 16, kSteps = 60;

// conv - batch-norm - relu - average - fully connected - loss.
struct Network {
  ft::Graph graph;
  ft::ValueId image, labels, logits, loss;

  Network() {
    image = graph.image_input("image", 1, kSide, kSide);
    labels = graph.label_input("labels");
    ft::ValueId v = graph.add(
        "conv", std::make_unique<ft::Conv2d>(ft::Conv2dConfig{8, 3, 1, 1, 1, false}), {image});
    v = graph.add("bn", std::make_unique<ft::BatchNorm2d>(), {v});
    v = graph.add("relu", std::make_unique<ft::Relu>(), {v});
    v = graph.add("average", std::make_unique<ft::AdaptiveAvgPool2d>(1, 1), {v});
    v = graph.add("flatten", std::make_unique<ft::Flatten>(), {v});
    logits = graph.add("fc", std::make_unique<ft::Linear>(2), {v});
    loss = graph.add("loss", std::make_unique<ft::SoftmaxCrossEntropy>(), {logits, labels});
  }
};

// Stripes of random phase and width, with noise; label 1 lies, label 0 stands.
void draw(uint64_t step, std::vector<float>& images, std::vector<int32_t>& labels) {
  for (int64_t n = 0; n < kBatch; ++n) {
    const ft::Rng rng(1, ft::RngPurpose::test, step, static_cast<uint64_t>(n));
    labels[static_cast<size_t>(n)] = static_cast<int32_t>(n % 2);
    const float phase = 6.28f * rng.uniform(0), frequency = 0.8f + rng.uniform(1);
    for (int64_t y = 0; y < kSide; ++y)
      for (int64_t x = 0; x < kSide; ++x) {
        const auto i = static_cast<size_t>((n * kSide + y) * kSide + x);
        const auto along = static_cast<float>(n % 2 == 0 ? x : y);
        images[i] = std::sin(phase + frequency * along) +
                    0.5f * static_cast<float>(rng.normal(2 + static_cast<uint64_t>(y * kSide + x)));
      }
  }
}

int run() {
  const ft::ChosenBackend chosen = ft::choose_backend("auto", {});
  ft::Backend& backend = *chosen.backend;
  std::printf("%s\n", chosen.reason.c_str());
  const std::unique_ptr<ft::Stream> stream = backend.make_stream();
  const ft::StreamRef s = stream->ref();

  const Network net;
  ft::ParameterSet parameters(net.graph, backend);
  parameters.initialize(0, s);
  ft::CompileOptions options;
  options.batch = kBatch;
  options.mode = ft::Mode::training;
  ft::CompiledGraph compiled(net.graph, backend, options);
  const ft::Tensor arena = ft::make_arena(backend, {&compiled}),
                   state = ft::make_step_state(backend);
  ft::Executor executor(compiled, parameters, backend, arena, state);
  ft::Sgd sgd(parameters, backend, {});

  std::vector<float> images(kBatch * kSide * kSide), losses(kBatch), seed(kBatch, 1.0f / kBatch);
  std::vector<int32_t> labels(kBatch);
  const ft::Tensor plain({{kBatch, 1, kSide, kSide}, ft::DType::f32, ft::Layout::plain},
                         backend.allocator());
  backend.upload(s, seed.data(),
                 executor.gradient(net.loss));  // the mean of the losses is what falls
  double mean = 0;
  for (int64_t step = 0; step < kSteps; ++step) {
    draw(static_cast<uint64_t>(step), images, labels);
    const ft::StepState now{0, static_cast<uint64_t>(step), 0, 0.05};
    backend.upload(s, &now, state);
    backend.upload(s, images.data(), plain);
    backend.convert(s, plain, executor.value(net.image));
    backend.upload(s, labels.data(), executor.value(net.labels));
    executor.forward(s);
    backend.download(s, executor.value(net.loss), losses.data());
    executor.backward(s);
    sgd.step(s, parameters.gradients(), state);
    backend.synchronize(s);
    mean = 0;
    for (const float loss : losses) mean += loss / kBatch;
    if (step % 10 == 0 || step == kSteps - 1)
      std::printf("step %2d  loss %.4f\n", static_cast<int>(step), mean);
  }
  return mean < 0.1 ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return run();
  } catch (const ft::Error& e) {
    std::fprintf(stderr, "%s\n", e.line().c_str());
    return static_cast<int>(e.status());
  }
}
