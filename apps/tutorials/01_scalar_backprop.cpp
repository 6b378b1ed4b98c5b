// Lesson 1: what backprop is. Read it from here to the end, then run it:
//   cmake --build --preset cpu --target tutorial_01_scalar_backprop
//   build/cpu/bin/tutorial_01_scalar_backprop
//
// Backprop is two ideas. Write down every operation of a computation in the order in which it ran,
// with its local derivatives: that list is the tape. Then walk the list once from its end to its
// start and hand the gradient of every operation on to what it was computed from: that is the chain
// rule, and it is all. Part 1 does this for single numbers, in thirty lines. Part 2 shows that the
// framework does the same for tensors, only that its tape is known before anything runs. Both are
// held against numbers that were found in another way; the program ends with status 1 if any two
// disagree. One thread, no state outside of main().
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "layers/executor.h"
#include "layers/linear.h"
#include "layers/pointwise.h"
#include "layers/softmax_cross_entropy.h"

namespace {

using Ids = std::vector<size_t>;  // numbers on the tape

// Prints two numbers that should be one, and counts where they are not. Near zero, where almost no
// digit of a difference is right, the error is measured against 1e-3 instead of the numbers
// themselves.
struct Judge {
  int wrong = 0;
  void compare(const std::string& what, double got, double want, double tolerance) {
    const double error = std::abs(got - want) / std::max({std::abs(got), std::abs(want), 1e-3});
    const bool agree = error <= tolerance;  // false for not-a-number
    fmt::print("  {:<16} {:>18.14f} {:>18.14f}   {}\n", what, got, want, agree ? "agree" : "WRONG");
    wrong += agree ? 0 : 1;
  }
};

// --- Part 1: numbers ---

// Every operation appends one entry: its value, which earlier numbers it was made of, and the
// derivative of its value by each of them. Compare a line with what you learned at school: (a b)'
// by a is b, exp' is exp. An entry can only name what stands before it. So the order of the list is
// one in which everything can be computed, and its reverse is one in which everything can be
// derived. No graph search is needed.
class Tape {
 public:
  size_t leaf(double value) { return push({value, {}}); }
  size_t add(size_t a, size_t b) { return push({v(a) + v(b), {{a, 1}, {b, 1}}}); }
  size_t multiply(size_t a, size_t b) { return push({v(a) * v(b), {{a, v(b)}, {b, v(a)}}}); }
  size_t scale(size_t a, double factor) { return push({v(a) * factor, {{a, factor}}}); }
  size_t relu(size_t a) { return push({std::max(v(a), 0.0), {{a, v(a) > 0 ? 1.0 : 0.0}}}); }
  size_t exp(size_t a) { return push({std::exp(v(a)), {{a, std::exp(v(a))}}}); }
  size_t log(size_t a) { return push({std::log(v(a)), {{a, 1 / v(a)}}}); }
  double v(size_t a) const { return entries_[a].value; }

  // The derivative of number y by every number on the tape.
  //
  // gradient[i] says how much y moves if number i moves a little. For y itself that is 1. When the
  // walk comes to entry i it has passed everything behind it, so all that i has a direct influence
  // on has already paid its share into gradient[i]: the sum is complete and can be handed on. It is
  // handed on by += since a number that is used twice moves y along two ways, and small effects add
  // up. This += is the only difference between a chain and a network with branches; forgetting it
  // is the classic mistake: write = instead, run again, and look at df/da.
  std::vector<double> backward(size_t y) const {
    std::vector<double> gradient(entries_.size(), 0.0);
    gradient[y] = 1;
    for (size_t i = y + 1; i-- > 0;)
      for (const Input& input : entries_[i].inputs)
        gradient[input.from] += gradient[i] * input.slope;
    return gradient;
  }

 private:
  struct Input {
    size_t from;
    double slope;  // derivative of this entry's value by that of `from`
  };
  struct Entry {
    double value;
    std::vector<Input> inputs;
  };
  size_t push(Entry entry) {
    entries_.push_back(std::move(entry));
    return entries_.size() - 1;
  }
  std::vector<Entry> entries_;
};

// f(a, b) = log(exp(a b) + exp(a)). The number a is used twice.
size_t example(Tape& tape, size_t a, size_t b) {
  return tape.log(tape.add(tape.exp(tape.multiply(a, b)), tape.exp(a)));
}

// A derivative can be had without thinking: move one input a little to both sides and look. The
// error of such a central difference shrinks with the square of the step until rounding takes over;
// 1e-5 is about the best for doubles. That is how gradients are tested here, and not how anyone
// trains: it takes two evaluations for every input, so a step of AlexNet would take 120 million
// forward passes. Backprop takes one walk back, about twice the work of a forward pass, however
// many weights there are.
void scalar_lesson(Judge& judge) {
  const double a = 0.7, b = -1.3, step = 1e-5;
  const auto f = [](double x, double y) {
    Tape tape;
    return tape.v(example(tape, tape.leaf(x), tape.leaf(y)));
  };
  Tape tape;
  const size_t at = tape.leaf(a), bt = tape.leaf(b), y = example(tape, at, bt);
  const std::vector<double> gradient = tape.backward(y);
  fmt::print(
      "1. f(a, b) = log(exp(a b) + exp(a)) at a = {}, b = {} is {:.6f}; {} numbers on the tape\n",
      a, b, tape.v(y), y + 1);
  fmt::print("  {:<16} {:>18} {:>18}\n", "", "tape, backwards", "differences");
  judge.compare("df/da", gradient[at], (f(a + step, b) - f(a - step, b)) / (2 * step), 1e-8);
  judge.compare("df/db", gradient[bt], (f(a, b + step) - f(a, b - step)) / (2 * step), 1e-8);
}

// --- Part 2: tensors ---

constexpr size_t kSamples = 2, kInputs = 3, kHidden = 4, kClasses = 2;
constexpr double kImages[kSamples][kInputs] = {{0.5, -1.0, 2.0}, {-0.3, 0.8, 0.1}};
constexpr int32_t kLabels[kSamples] = {1, 0};

// The network of part 2 out of single numbers: z = w2 relu(w1 x + b1) + b2, loss = -log
// softmax(z)[label]. A fully connected layer is a sum of products; -log softmax(z)[k] is log(sum of
// exp(z)) - z[k]. It is the judge of the tensors below, and shows why frameworks have layers: 26
// weights and two samples fill more than a hundred entries, where the graph has four nodes.
Ids linear(Tape& tape, const Ids& x, const Ids& w, const Ids& b) {
  Ids y = b;
  for (size_t o = 0; o < y.size(); ++o)
    for (size_t i = 0; i < x.size(); ++i)
      y[o] = tape.add(y[o], tape.multiply(w[o * x.size() + i], x[i]));
  return y;
}

// The mean loss over the samples; p holds the numbers of w1, b1, w2 and b2.
size_t mean_loss(Tape& tape, const std::vector<Ids>& p) {
  size_t mean = tape.leaf(0);
  for (size_t n = 0; n < kSamples; ++n) {
    Ids x;
    for (double pixel : kImages[n]) x.push_back(tape.leaf(pixel));
    Ids h = linear(tape, x, p[0], p[1]);
    for (size_t& unit : h) unit = tape.relu(unit);
    const Ids z = linear(tape, h, p[2], p[3]);
    const size_t all = tape.log(tape.add(tape.exp(z[0]), tape.exp(z[1])));
    const size_t loss = tape.add(all, tape.scale(z[static_cast<size_t>(kLabels[n])], -1));
    mean = tape.add(mean, tape.scale(loss, 1.0 / kSamples));
  }
  return mean;
}

// By hand: softmax and cross-entropy together have the derivative probability[k] - [k is the
// label], and a bias is simply added, so  d mean / d b2[k] = mean over the samples of
// (probability[n,k] - [k == label[n]]).
double bias_by_hand(const double* logits, size_t k) {
  double gradient = 0;
  for (size_t n = 0; n < kSamples; ++n) {
    const double* z = logits + n * kClasses;
    const double probability = std::exp(z[k]) / (std::exp(z[0]) + std::exp(z[1]));
    gradient += (probability - (k == static_cast<size_t>(kLabels[n]) ? 1 : 0)) / kSamples;
  }
  return gradient;
}

void tensor_lesson(Judge& judge) {
  // A graph is a description: nodes in the order in which they run, each naming the values that it
  // reads. It is the tape before the fact. A layer knows its local derivatives, for whole tensors
  // at once.
  ft::Graph graph;
  const ft::ValueId x = graph.image_input("x", kInputs, 1, 1), label = graph.label_input("label");
  ft::ValueId v = graph.add("fc1", std::make_unique<ft::Linear>(kHidden), {x});
  v = graph.add("relu", std::make_unique<ft::Relu>(), {v});
  const ft::ValueId logits = graph.add("fc2", std::make_unique<ft::Linear>(kClasses), {v});
  const ft::ValueId loss =
      graph.add("loss", std::make_unique<ft::SoftmaxCrossEntropy>(), {logits, label});

  // The reference backend computes in double, with plain loops over the definitions (tensor/ref).
  const std::unique_ptr<ft::Backend> backend = ft::make_backend({ft::Device::Kind::ref, 0}, {});
  const std::unique_ptr<ft::Stream> stream = backend->make_stream();
  const ft::StreamRef s = stream->ref();
  ft::ParameterSet parameters(graph, *backend, ft::DType::f64);
  parameters.initialize(1, s);

  // Compiling looks at the list once and settles which gradients exist, where they lie, and what
  // forward must not throw away. `keep` asks for the logits after the step; without it their memory
  // may be used again.
  ft::CompileOptions options;
  options.batch = kSamples;
  options.mode = ft::Mode::training;
  options.numerics.compute = ft::DType::f64;
  options.keep = {logits};
  ft::CompiledGraph compiled(graph, *backend, options);

  // How to read the tape: d(fc1) is the gradient of the output of fc1. A line takes that of its own
  // output and makes those of its inputs and parameters. "reads x", "reads y" and "reads aux" is
  // what forward kept for it. ReLU reads its output: where that is positive, dy passes. Nothing
  // makes d(x): nobody asked.
  fmt::print("\n2. The framework walks fc1 - relu - fc2 - loss backwards:\n{}", compiled.tape());

  // Forward runs down the list. Backward starts from what the caller wrote into the gradient of the
  // last value: the loss is one number a sample, and 1 / samples for each of them makes it the
  // gradient of their mean.
  ft::Executor executor(compiled, parameters, *backend, ft::make_arena(*backend, {&compiled}),
                        ft::make_step_state(*backend));
  const std::array<double, kSamples> seed{1.0 / kSamples, 1.0 / kSamples};
  backend->upload(s, kImages, executor.value(x));
  backend->upload(s, kLabels, executor.value(label));
  backend->upload(s, seed.data(), executor.gradient(loss));
  executor.forward(s);
  executor.backward(s);

  // The same weights on a scalar tape, and one gradient by hand.
  Tape tape;
  std::vector<Ids> p(4);
  for (size_t i = 0; i < p.size(); ++i) {
    const ft::Tensor& w = parameters.value(static_cast<int>(i));
    for (int64_t k = 0; k < w.shape().elements(); ++k) p[i].push_back(tape.leaf(w.as<double>()[k]));
  }
  const size_t mean = mean_loss(tape, p);
  const std::vector<double> want = tape.backward(mean);
  fmt::print("  {:<16} {:>18} {:>18}   ({} entries)\n", "", "framework", "scalar tape", mean + 1);
  for (size_t i = 0; i < p.size(); ++i)
    for (size_t k = 0; k < p[i].size(); ++k)
      judge.compare(fmt::format("d({})[{}]", graph.parameters()[i].name, k),
                    parameters.grad(static_cast<int>(i)).as<double>()[k], want[p[i][k]], 1e-12);
  fmt::print("  {:<16} {:>18} {:>18}\n", "", "framework", "by hand");
  judge.compare("d(fc2.bias)[0]", parameters.grad(3).as<double>()[0],
                bias_by_hand(executor.value(logits).as<double>(), 0), 1e-12);
}

}  // namespace

int main() {
  Judge judge;
  scalar_lesson(judge);
  tensor_lesson(judge);
  if (judge.wrong != 0) {
    fmt::print("\n{} numbers disagree: there is a bug\n", judge.wrong);
    return 1;
  }
  fmt::print(
      "\nAll agree. docs/gradients.md has the formulas of every layer, ftrun gradcheck checks them "
      "all, and\n"
      "ftrun summary --model resnet50 --backward prints the tape of a real network.\n");
  return 0;
}
