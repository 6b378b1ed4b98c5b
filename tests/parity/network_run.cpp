// Running one case.
#include "tests/parity/network_run.h"

#include <algorithm>
#include <numeric>

#include "layers/pointwise.h"
#include "models/transfer.h"

namespace ft::parity {
namespace {

// The same graph, values and parameters, with dropouts that drop nothing.
Graph without_dropout(const Graph& graph) {
  Graph out;
  size_t next = 0;
  for (const Value& v : graph.values()) {
    if (v.producer == -1) {
      if (v.dtype == DType::i32) {
        out.label_input(v.name);
      } else {
        out.image_input(v.name, v.shape.c(), v.shape.h(), v.shape.w());
      }
      continue;
    }
    const Node& node = graph.nodes()[next++];
    const bool drops = node.layer->kind() == "dropout";
    out.add(node.name, drops ? std::make_unique<Dropout>(0) : node.layer->clone(), node.inputs);
  }
  return out;
}

Model drawn_model(const Golden& golden, const Images& images, const NetworkRun::Options& options) {
  Model model =
      build_model(find_model(golden.network), golden.classes, images.height, images.width);
  const bool drops = std::ranges::any_of(golden.runs, &RunCase::drops);
  if (drops && !options.dropout) model.graph = without_dropout(model.graph);
  TransferOptions transfer;
  transfer.pretrained = !options.unfreeze.empty();
  transfer.unfreeze = options.unfreeze;
  transfer.head_lr_factor = options.head_factor;
  apply_transfer(model, transfer);
  return model;
}

}  // namespace

NetworkRun::NetworkRun(const Golden& golden, const Images& images, const Options& options,
                       Device device)
    : images_(images),
      options_(options),
      model_(drawn_model(golden, images, options)),
      backend_(make_backend(device, {1})),
      stream_(backend_->make_stream()),
      parameters_(std::make_unique<ParameterSet>(model_.graph, *backend_)),
      labels_(draw_labels(images.batch, golden.classes)),
      loss_(static_cast<size_t>(images.batch)),
      seed_(loss_.size(), 1.0f / static_cast<float>(images.batch)) {
  const auto& parameters = model_.graph.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool head = parameters[i].name.starts_with(model_.head + ".");
    parameters_->set(static_cast<int>(i),
                     draw_parameter(parameters[i], head ? golden.head_gain : golden.gain),
                     stream_->ref());
  }
  CompileOptions compile;
  compile.batch = images.batch;
  compile.mode = options.mode;
  compile.keep = {model_.logits};
  compile.numerics.compute = options.compute;
  compiled_ = std::make_unique<CompiledGraph>(model_.graph, *backend_, compile);
  arena_ = make_arena(*backend_, {compiled_.get()});
  state_ = make_step_state(*backend_);
  executor_ = std::make_unique<Executor>(*compiled_, *parameters_, *backend_, arena_, state_);
  const Shape shape = executor_->value(model_.image).shape();
  const std::vector<float> drawn = draw_images(shape.elements(), golden.image_scale, images.seed);
  pixels_ = Tensor({shape, DType::f32, Layout::plain}, backend_->allocator());
  backend_->upload(stream_->ref(), drawn.data(), pixels_);
  backend_->synchronize(stream_->ref());
}

void NetworkRun::set_state(uint64_t seed, uint64_t step, double rate) {
  const StepState state{seed, step, 0, rate};
  backend_->upload(stream_->ref(), &state, state_);
  backend_->synchronize(stream_->ref());
}

double NetworkRun::pass() {
  const StreamRef s = stream_->ref();
  backend_->convert(s, pixels_, executor_->value(model_.image));
  backend_->upload(s, labels_.data(), executor_->value(model_.labels));
  executor_->forward(s);
  backend_->download(s, executor_->value(model_.loss), loss_.data());
  if (options_.mode == Mode::training) {
    backend_->upload(s, seed_.data(), executor_->gradient(model_.loss));
    executor_->backward(s);
  }
  backend_->synchronize(s);
  return std::accumulate(loss_.begin(), loss_.end(), 0.0) / static_cast<double>(images_.batch);
}

std::vector<float> NetworkRun::logits() {
  pass();
  const Tensor y = executor_->value(model_.logits);
  std::vector<float> values(static_cast<size_t>(y.shape().elements()));
  backend_->download(stream_->ref(), y, values.data());
  backend_->synchronize(stream_->ref());
  return values;
}

NetworkRun::Options options_of(const RunCase& run) {
  return {Mode::training, run.drops(), run.unfreeze, run.head_factor};
}

std::vector<double> NetworkRun::train(const RunCase& run) {
  Sgd sgd(*parameters_, *backend_, {SgdSpec::Rule::pytorch, run.momentum, run.l2});
  std::vector<double> losses;
  for (const double factor : run.rate_factors) {
    set_state(run.dropout_seed, losses.size(), run.rate * factor);
    losses.push_back(pass());
    sgd.step(stream_->ref(), parameters_->gradients(), state_);
  }
  return losses;
}

std::vector<float> NetworkRun::gradient(int parameter) const {
  return parameters_->get_grad(parameter, stream_->ref());
}

std::vector<float> NetworkRun::value(int parameter) const {
  return parameters_->get(parameter, stream_->ref());
}

}  // namespace ft::parity
