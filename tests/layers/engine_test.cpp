// The engine on a small residual network: memory plan, forks, freezing, micro-batches, kept gradients.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <set>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/executor.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "layers/summary.h"
#include "tensor/rng.h"

namespace ft {
namespace {

// conv1 - bn1 - relu1 - pool - [conv2 - bn2 - relu2 - conv3 - bn3 - add - relu3] - avg - flatten - drop - fc
struct SmallNet {
  Graph graph;
  ValueId image, labels, logits, loss;

  explicit SmallNet(double dropout = 0.5) {
    Graph& g = graph;
    image = g.image_input("image", 3, 13, 10);
    const auto conv = [](int64_t out, int64_t k) {
      return std::make_unique<Conv2d>(Conv2dConfig{out, k, 1, k / 2, 1, false});
    };
    ValueId v = g.add("conv1", conv(6, 3), {image});
    v = g.add("bn1", std::make_unique<BatchNorm2d>(), {v});
    v = g.add("relu1", std::make_unique<Relu>(), {v});
    const ValueId x = g.add("pool", std::make_unique<Pool2d>(Pool2dSpec::Kind::max, 3, 2, 1), {v});
    v = g.add("conv2", conv(4, 1), {x});
    v = g.add("bn2", std::make_unique<BatchNorm2d>(), {v});
    v = g.add("relu2", std::make_unique<Relu>(), {v});
    v = g.add("conv3", conv(6, 3), {v});
    v = g.add("bn3", std::make_unique<BatchNorm2d>(), {v});
    v = g.add("add", std::make_unique<Add>(), {v, x});
    v = g.add("relu3", std::make_unique<Relu>(), {v});
    v = g.add("avg", std::make_unique<AdaptiveAvgPool2d>(2, 2), {v});
    v = g.add("flatten", std::make_unique<Flatten>(), {v});
    v = g.add("drop", std::make_unique<Dropout>(dropout), {v});
    logits = g.add("fc", std::make_unique<Linear>(3), {v});
    labels = g.label_input("labels");
    loss = g.add("loss", std::make_unique<SoftmaxCrossEntropy>(), {logits, labels});
  }

  void train_only(const std::string& prefix) {
    for (Parameter& p : graph.parameters())
      if (!p.is_statistic()) p.trainable = p.name.starts_with(prefix);
  }
};

// One compiled step with everything that it needs.
struct Step {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Stream> stream;
  std::unique_ptr<ParameterSet> parameters;
  std::unique_ptr<CompiledGraph> compiled;
  std::unique_ptr<Executor> executor;
  Tensor arena, state;

  Step(const SmallNet& net, CompileOptions options, Device device = {}, DType dtype = DType::f32) {
    backend = make_backend(device, {2});
    stream = backend->make_stream();
    parameters = std::make_unique<ParameterSet>(net.graph, *backend, dtype);
    parameters->initialize(1, stream->ref());
    options.numerics.compute = dtype;
    compiled = std::make_unique<CompiledGraph>(net.graph, *backend, options);
    arena = make_arena(*backend, {compiled.get()});
    std::memset(arena.data(), 0xFF,
                arena.bytes());  // NaN: nothing may be read before it is written
    state = make_step_state(*backend);
    executor = std::make_unique<Executor>(*compiled, *parameters, *backend, arena, state);
  }

  void fill(const SmallNet& net, int64_t first = 0) {
    const Tensor x = executor->value(net.image);
    const Shape shape = x.shape();
    const Tensor plain({shape, DType::f32, Layout::plain}, backend->allocator());
    const Rng rng(3, RngPurpose::test);
    for (int64_t i = 0; i < shape.elements(); ++i)
      plain.as<float>()[i] =
          static_cast<float>(rng.normal(static_cast<uint64_t>(first * shape.per_sample() + i)));
    backend->convert(stream->ref(), plain, x);
    if (!compiled->values()[static_cast<size_t>(net.labels)].used) return;
    const Tensor labels = executor->value(net.labels);
    for (int64_t n = 0; n < shape.n(); ++n)
      labels.as<int32_t>()[n] = static_cast<int32_t>((first + n) % 3);
  }

  void seed(const SmallNet& net, float value) {
    const Tensor dy = executor->gradient(net.loss);
    for (int64_t i = 0; i < dy.shape().elements(); ++i) {
      if (dy.spec().dtype == DType::f64) {
        dy.as<double>()[i] = value;
      } else {
        dy.as<float>()[i] = value;
      }
    }
  }

  void run(const SmallNet& net, float seed_value = 0.25f, int64_t first = 0) {
    fill(net, first);
    executor->forward(stream->ref());
    seed(net, seed_value);
    executor->backward(stream->ref());
    backend->synchronize(stream->ref());
  }

  std::vector<float> gradients() const {
    std::vector<float> all;
    for (size_t i = 0; i < parameters->groups().size(); ++i)
      for (int p : parameters->groups()[i].parameters)
        for (float g : parameters->get_grad(p, stream->ref())) all.push_back(g);
    return all;
  }
};

CompileOptions training(int64_t batch) {
  CompileOptions options;
  options.batch = batch;
  options.mode = Mode::training;
  return options;
}

TEST(Engine, planned_memory_gives_the_bytes_of_unplanned_memory) {
  const SmallNet net;
  CompileOptions options = training(4);
  Step planned(net, options);
  options.reuse_memory = false;
  Step unplanned(net, options);
  planned.run(net);
  unplanned.run(net);
  EXPECT_LT(planned.arena.bytes(), unplanned.arena.bytes());
  EXPECT_EQ(planned.gradients(), unplanned.gradients());
  for (float g : planned.gradients()) ASSERT_TRUE(std::isfinite(g));
}

TEST(Engine, gradients_of_all_parameters_agree_with_differences_through_the_graph) {
  const SmallNet net;
  Step step(net, training(4), {}, DType::f64);
  const auto total_loss = [&] {
    step.fill(net);
    step.executor->forward(step.stream->ref());
    double sum = 0;
    const Tensor loss = step.executor->value(net.loss);
    for (int64_t i = 0; i < 4; ++i) sum += 0.25 * loss.as<double>()[i];
    return sum;
  };
  step.run(net);
  const std::vector<float> analytic = step.gradients();
  size_t at = 0;
  for (int p : step.parameters->groups()[0].parameters) {
    double* w = step.parameters->value(p).as<double>();
    for (int64_t i = 0; i < net.graph.parameters()[static_cast<size_t>(p)].shape.elements();
         ++i, ++at) {
      if (i % 7 != 0) continue;
      const double keep = w[i], epsilon = 1e-6;
      w[i] = keep + epsilon;
      const double above = total_loss();
      w[i] = keep - epsilon;
      const double below = total_loss();
      w[i] = keep;
      EXPECT_NEAR((above - below) / (2 * epsilon), analytic[at], 2e-5)
          << net.graph.parameters()[static_cast<size_t>(p)].name << "[" << i << "]";
    }
  }
}

TEST(Engine, a_fork_sums_its_gradients_and_the_tape_says_so) {
  const SmallNet net;
  CompileOptions options = training(2);
  options.fuse = false;
  const Step step(net, options);
  const std::string tape = step.compiled->tape();
  EXPECT_NE(tape.find("d(add) -> d(bn3) -> d(pool)"), std::string::npos) << tape;
  EXPECT_NE(tape.find("d(conv2) -> added to d(pool) -> d(conv2.weight)"), std::string::npos)
      << tape;
  EXPECT_NE(tape.find("d(flatten) = d(avg)"), std::string::npos) << tape;
  // What a convolution saves is its input, by name and size; what two nodes read counts once in the sum.
  EXPECT_NE(tape.find("-> d(conv2.weight); saved: pool 1.6 KiB\n"), std::string::npos) << tape;
  // By hand, in bytes: image 3120; conv1 and relu1 6240 each; pool 1680 and its argmax 1680; conv2 and relu2 1120
  // each; conv3 and relu3 1680 each; statistics of the batch-norms, in double, 96, 64, 96; drop 192; fc 24,
  // probabilities 24, labels 8.
  EXPECT_NE(tape.find(" 24.5 KiB in 16 blocks, each counted once"), std::string::npos) << tape;
}

TEST(Engine, a_frozen_prefix_is_in_evaluation_mode_keeps_nothing_and_does_not_change) {
  SmallNet net;
  net.train_only("fc.");
  Step step(net, training(4));
  std::vector<std::vector<float>> before;
  for (size_t p = 0; p < net.graph.parameters().size(); ++p)
    before.push_back(step.parameters->get(static_cast<int>(p), step.stream->ref()));
  step.run(net);
  for (size_t p = 0; p < before.size(); ++p)
    EXPECT_EQ(before[p], step.parameters->get(static_cast<int>(p), step.stream->ref()));
  for (const CompiledNode& c : step.compiled->nodes()) {
    const std::string& name = c.name;
    EXPECT_EQ(c.runs_backward, name == "fc" || name == "loss") << name;
    EXPECT_TRUE(c.bn == BnMode::frozen || !name.starts_with("bn")) << name;
    EXPECT_TRUE(c.plan.alias || name != "drop");
  }
  SmallNet all;
  EXPECT_LT(step.arena.bytes(), Step(all, training(4)).arena.bytes());
}

TEST(Engine, two_half_batches_give_the_gradient_of_one_batch) {
  SmallNet net(0.5);
  for (Parameter& p : net.graph.parameters())  // batch statistics would see the halves
    if (p.role == ParamRole::gamma || p.role == ParamRole::beta) p.trainable = false;
  Step whole(net, training(4));
  whole.run(net);
  Step half(net, training(2));
  half.run(net);
  std::vector<float> sum = half.gradients();
  const StepState second{0, 0, 2, 0};
  half.backend->upload(half.stream->ref(), &second, half.state);
  half.run(net, 0.25f, 2);
  const std::vector<float> other = half.gradients(), expected = whole.gradients();
  for (size_t i = 0; i < sum.size(); ++i)
    EXPECT_NEAR(sum[i] + other[i], expected[i], 1e-5 * (1 + std::fabs(expected[i]))) << i;
}

TEST(Engine, a_kept_gradient_exists_in_inference_and_no_parameter_gradient_does) {
  const SmallNet net;
  CompileOptions options;
  options.batch = 2;
  options.to = net.logits;
  options.keep_gradients = {net.graph.find("relu3"), net.image};
  Step step(net, options);
  step.fill(net);
  step.executor->forward(step.stream->ref());
  const Tensor dy = step.executor->gradient(net.logits);
  for (int64_t i = 0; i < 6; ++i) dy.as<float>()[i] = i % 3 == 1 ? 1.0f : 0.0f;  // one-hot logit
  step.executor->backward(step.stream->ref());
  for (const char* name : {"relu3", "image"}) {
    const Tensor g = step.executor->gradient(net.graph.find(name));
    double norm = 0;
    for (int64_t i = 0; i < g.shape().elements(); ++i) norm += std::fabs(g.as<float>()[i]);
    EXPECT_TRUE(std::isfinite(norm) && norm > 0) << name;
  }
  for (const CompiledNode& c : step.compiled->nodes()) EXPECT_FALSE(c.wants_dw || c.training);
}

TEST(Engine, a_prefix_and_its_suffix_compute_what_the_whole_does) {
  SmallNet net;
  net.train_only("fc.");
  const ValueId cut = net.graph.find("flatten");
  Step whole(net, training(4));
  whole.run(net);
  CompileOptions prefix_options;
  prefix_options.batch = 4;
  prefix_options.to = cut;
  Step prefix(net, prefix_options);
  const Tensor x = prefix.executor->value(net.image);
  std::memcpy(
      x.data(),
      [&] {
        whole.fill(net);
        return whole.executor->value(net.image).data();
      }(),
      x.bytes());
  prefix.executor->forward(prefix.stream->ref());
  CompileOptions suffix_options = training(4);
  suffix_options.from = cut;
  suffix_options.from_spec = prefix.executor->value(cut).spec();
  Step suffix(net, suffix_options);
  std::memcpy(suffix.executor->value(cut).data(), prefix.executor->value(cut).data(),
              prefix.executor->value(cut).bytes());
  std::memcpy(suffix.executor->value(net.labels).data(), whole.executor->value(net.labels).data(),
              16);
  suffix.executor->forward(suffix.stream->ref());
  suffix.seed(net, 0.25f);
  suffix.executor->backward(suffix.stream->ref());
  EXPECT_EQ(whole.gradients(), suffix.gradients());
}

TEST(Engine, dropout_changes_with_the_step_and_not_with_repetition) {
  const SmallNet net;
  Step step(net, training(4));
  step.run(net);
  const auto first = step.gradients();
  step.parameters->initialize(1, step.stream->ref());
  step.run(net);
  EXPECT_EQ(first, step.gradients());
  const StepState next{0, 1, 0, 0};
  step.backend->upload(step.stream->ref(), &next, step.state);
  step.parameters->initialize(1, step.stream->ref());
  step.run(net);
  EXPECT_NE(first, step.gradients());
}

// Convolution, batch-norm, add and ReLU of the frozen part become one node each, with the same result, also
// after the weights and statistics changed.
TEST(Engine, fused_inference_agrees_with_one_node_at_a_time) {
  const SmallNet net;
  CompileOptions options;
  options.batch = 3;
  options.to = net.logits;
  Step fused(net, options);
  options.fuse = false;
  Step plain(net, options);
  EXPECT_EQ(fused.compiled->nodes().front().name, "conv1+bn1+relu1");
  EXPECT_EQ(fused.compiled->nodes()[3].name, "conv3+bn3+add+relu3");
  EXPECT_EQ(fused.compiled->nodes().size() + 7, plain.compiled->nodes().size());
  for (int round = 0; round < 2; ++round) {
    for (Step* step : {&fused, &plain}) {
      for (size_t p = 0; p < net.graph.parameters().size(); ++p) {
        const Parameter& parameter = net.graph.parameters()[p];
        const Rng rng(static_cast<uint64_t>(round), RngPurpose::test, p);
        std::vector<float> values(static_cast<size_t>(parameter.shape.elements()));
        for (size_t i = 0; i < values.size(); ++i)
          values[i] = parameter.role == ParamRole::running_var
                          ? 0.5f + rng.uniform(i)
                          : static_cast<float>(0.3 * rng.normal(i));
        step->parameters->set(static_cast<int>(p), values, step->stream->ref());
      }
      step->fill(net);
      step->executor->forward(step->stream->ref());
    }
    const Tensor a = fused.executor->value(net.logits), b = plain.executor->value(net.logits);
    for (int64_t i = 0; i < 9; ++i)
      EXPECT_NEAR(a.as<float>()[i], b.as<float>()[i], 1e-5 * (1 + std::fabs(b.as<float>()[i])))
          << i;
  }
}

void expect_equal_gradients(const SmallNet& net, Step& one, Step& other, double bound) {
  one.run(net);
  other.run(net);
  const std::vector<float> a = one.gradients(), b = other.gradients();
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound * (1 + std::fabs(b[i]))) << i;
}

bool cpu_is_there(std::string& why) {
  try {
    (void)make_backend({Device::Kind::cpu}, {1});
    return true;
  } catch (const Error& e) {
    why = e.what();
    return false;
  }
}

// Batch-norm, add and ReLU become one node where the backward pass runs. In double on ref nothing is rounded in
// between, so that only the order of a few operations differs.
TEST(Engine, fused_training_agrees_with_one_node_at_a_time) {
  const SmallNet net;
  CompileOptions options = training(4);
  Step fused(net, options, {}, DType::f64);
  options.fuse = false;
  Step plain(net, options, {}, DType::f64);
  std::vector<std::string> names;
  for (const CompiledNode& c : fused.compiled->nodes()) names.push_back(c.name);
  EXPECT_EQ(std::vector<std::string>(names.begin(), names.begin() + 7),
            (std::vector<std::string>{"conv1", "bn1+relu1", "pool", "conv2", "bn2+relu2", "conv3",
                                      "bn3+add+relu3"}));
  EXPECT_LE(fused.compiled->arena_bytes(), plain.compiled->arena_bytes());
  expect_equal_gradients(net, fused, plain, 1e-7);
}

// The same on the CPU backend, where the fused node has loops and a mask of its own.
TEST(Engine, fused_training_agrees_with_one_node_at_a_time_on_the_cpu) {
  if (std::string why; !cpu_is_there(why)) GTEST_SKIP() << why;
  const SmallNet net;
  CompileOptions options = training(4);
  Step fused(net, options, {Device::Kind::cpu});
  options.reuse_memory = false;
  Step unplanned(net, options, {Device::Kind::cpu});
  options.fuse = false;
  Step plain(net, options, {Device::Kind::cpu});
  expect_equal_gradients(net, fused, plain, 2e-5);
  unplanned.run(net);
  EXPECT_EQ(fused.gradients(), unplanned.gradients());
}

// A kept value is not fused away, and no node is fused across the border of what runs backward.
TEST(Engine, training_fusion_stops_at_kept_values_and_at_the_frozen_prefix) {
  SmallNet net;
  CompileOptions options = training(4);
  for (const Node& n : net.graph.nodes())
    if (n.name == "bn3") options.keep_gradients = {n.output};
  const auto has = [&](const Step& step, std::string_view name) {
    return std::ranges::any_of(step.compiled->nodes(),
                               [&](const CompiledNode& c) { return c.name == name; });
  };
  Step kept(net, options);
  EXPECT_TRUE(has(kept, "bn3") && has(kept, "add") && has(kept, "bn2+relu2"));
  options.keep_gradients = {};
  net.train_only("bn3");
  Step partly(net, options);
  EXPECT_TRUE(has(partly, "conv2+bn2+relu2") && has(partly, "conv3") &&
              has(partly, "bn3+add+relu3"));
  net.train_only("fc");
  Step head(net, options);
  EXPECT_TRUE(has(head, "conv3+bn3+add+relu3"));
}

// The folded weights of an evaluation follow the statistics that training moves.
TEST(Engine, folded_weights_follow_the_running_statistics) {
  const SmallNet net;
  Step train(net, training(4));
  CompileOptions options;
  options.batch = 4;
  options.to = net.logits;
  CompiledGraph compiled(net.graph, *train.backend, options);
  Executor evaluation(compiled, *train.parameters, *train.backend,
                      make_arena(*train.backend, {&compiled}), train.state);
  const auto logits = [&] {
    std::memcpy(evaluation.value(net.image).data(), train.executor->value(net.image).data(),
                train.executor->value(net.image).bytes());
    evaluation.forward(train.stream->ref());
    const float* z = evaluation.value(net.logits).as<float>();
    return std::vector<float>(z, z + 12);
  };
  train.fill(net);
  const std::vector<float> before = logits();
  train.run(net);
  train.parameters->values_changed();
  train.fill(net);
  EXPECT_NE(before, logits());
}

// Writes down what it sees, and that every piece of work is closed before the next begins.
class Diary : public Observer {
 public:
  std::vector<std::string> lines;

  void observe(When when, Work work, const CompiledNode& node, const Pass& pass) override {
    static const char* kNames[] = {"forward", "data", "weights", "both", "sum"};
    EXPECT_EQ(when == When::after, open_) << node.name;
    open_ = when == When::before;
    const bool dw =
        std::ranges::any_of(pass.params, [](const ParamView& p) { return !p.grad.empty(); });
    const bool dx = std::ranges::any_of(pass.dx, [](const Tensor& t) { return !t.empty(); });
    if (work == Work::backward_data) {
      EXPECT_TRUE(dx && !dw) << node.name;
    }
    if (work == Work::backward_weights) {
      EXPECT_TRUE(dw && !dx) << node.name;
    }
    if (work == Work::backward) {
      EXPECT_TRUE(dw && dx) << node.name;
    }
    if (open_) lines.push_back(node.name + " " + kNames[static_cast<int>(work)]);
  }

 private:
  bool open_ = false;
};

// The pool's output has two users, and the image needs no gradient.
TEST(Engine, an_observer_sees_every_pass_by_its_name) {
  SmallNet net;
  CompileOptions options;
  options.batch = 4;
  options.mode = Mode::training;
  options.fuse = false;
  Step step(net, options);
  Diary diary;
  step.executor->add_observer(&diary);
  step.run(net);
  const std::vector<std::string> expected{
      "conv1 forward", "bn1 forward",   "relu1 forward", "pool forward",  "conv2 forward",
      "bn2 forward",   "relu2 forward", "conv3 forward", "bn3 forward",   "add forward",
      "relu3 forward", "avg forward",   "drop forward",  "fc forward",    "loss forward",
      "loss data",     "fc data",       "fc weights",    "drop data",     "avg data",
      "relu3 data",    "add data",      "bn3 both",      "conv3 data",    "conv3 weights",
      "relu2 data",    "bn2 both",      "conv2 data",    "conv2 weights", "conv2 sum",
      "pool data",     "relu1 data",    "bn1 both",      "conv1 weights"};
  EXPECT_EQ(diary.lines, expected);
}

TEST(Engine, observed_and_unobserved_steps_give_the_same_bits) {
  SmallNet net;
  CompileOptions options;
  options.batch = 4;
  options.mode = Mode::training;
  Step plain(net, options), watched(net, options);
  Diary diary;
  watched.executor->add_observer(&diary);
  plain.run(net);
  watched.run(net);
  EXPECT_EQ(plain.gradients(), watched.gradients());
}

}  // namespace
}  // namespace ft
