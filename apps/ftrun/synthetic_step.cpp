// A step over drawn pixels.
#include "apps/ftrun/synthetic_step.h"

#include "apps/ftrun/device.h"
#include "models/transfer.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

Network empty_network(const StepOptions& o, Backend& backend) {
  const ModelInfo& info = find_model(o.model);
  const int side = o.input_size.value_or(info.recipe.input_size);
  Network network;
  network.model = build_model(info, o.classes, side, side);
  network.recipe = published_recipe(info, side, side);
  TransferOptions transfer;
  transfer.pretrained = o.head_only || !o.unfreeze.empty();
  transfer.freeze = o.freeze;
  transfer.unfreeze = o.unfreeze;
  apply_transfer(network.model, transfer);
  if (o.mode == "infer")
    for (Parameter& p : network.model.graph.parameters()) p.trainable = false;
  network.parameters = std::make_unique<ParameterSet>(network.model.graph, backend);
  return network;
}

}  // namespace

std::string frozen_text(const StepOptions& o) {
  std::string text = o.head_only ? "head only" : "";
  if (!o.freeze.empty()) text += (text.empty() ? "" : ", ") + ("frozen " + o.freeze);
  if (!o.unfreeze.empty()) text += (text.empty() ? "" : ", ") + ("unfrozen " + o.unfreeze);
  return text;
}

SyntheticStep::SyntheticStep(const StepOptions& o, Backend& backend)
    : backend_(backend), training_(o.mode == "train"), network_(empty_network(o, backend)) {
  CompileOptions compile;
  compile.batch = o.batch;
  compile.mode = training_ ? Mode::training : Mode::inference;
  compile.numerics = numerics_of(o.common, backend);
  compile.to = training_ ? -1 : network_.model.logits;
  if (training_) compile.keep = {network_.model.labels};  // written once for all steps
  compiled_ = std::make_unique<CompiledGraph>(network_.model.graph, backend, compile);
  arena_ = make_arena(backend, {compiled_.get()});
  state_ = make_step_state(backend);
  executor_ = make_executor();
  sgd_ = std::make_unique<Sgd>(*network_.parameters, backend, SgdOptions{});
  const InputRecipe& recipe = network_.recipe;
  pixels_ = Tensor({{o.batch, recipe.height, recipe.width, 3}, DType::u8, Layout::plain},
                   backend.allocator());
}

std::unique_ptr<Executor> SyntheticStep::make_executor() const {
  return std::make_unique<Executor>(*compiled_, *network_.parameters, backend_, arena_, state_);
}

void SyntheticStep::draw(const StepOptions& o, StreamRef s) {
  network_.parameters->initialize(o.common.seed, s);
  host_pixels_.resize(pixels_.bytes());
  const Rng rng(o.common.seed, RngPurpose::test);
  for (size_t i = 0; i < host_pixels_.size(); i += 4) {
    const uint32_t bits = rng.bits(i);
    for (size_t k = 0; k < 4 && i + k < host_pixels_.size(); ++k)
      host_pixels_[i + k] = static_cast<uint8_t>(bits >> (8 * k));
  }
  if (training_) {
    std::vector<int32_t> labels(static_cast<size_t>(o.batch));
    for (size_t i = 0; i < labels.size(); ++i)
      labels[i] = static_cast<int32_t>(i % static_cast<size_t>(o.classes));
    const std::vector<float> seed(labels.size(), 1.0f / static_cast<float>(o.batch));
    backend_.upload(s, labels.data(), executor_->value(network_.model.labels));
    backend_.upload(s, seed.data(), executor_->gradient(network_.model.loss));
    backend_.synchronize(s);
  }
  const StepState step{o.common.seed, 0, 0, 1e-4};
  backend_.upload(s, &step, state_);
  backend_.synchronize(s);
}

void SyntheticStep::upload(StreamRef s) { backend_.upload(s, host_pixels_.data(), pixels_); }

void SyntheticStep::normalize(StreamRef s) {
  backend_.normalize_image(s, normalize_spec(network_.recipe), pixels_, image());
}

WorkRow SyntheticStep::upload_row() const {
  return {"pixels",
          "upload",
          "",
          "input",
          pixels_.shape().str(),
          "",
          DType::f32,
          0,
          2.0 * static_cast<double>(pixels_.bytes())};
}

WorkRow SyntheticStep::normalize_row() const {
  return {"image",
          "normalize",
          "",
          "input",
          image().shape().str(),
          "",
          DType::f32,
          0,
          static_cast<double>(pixels_.bytes() + image().bytes())};
}

// Gradient, velocity and weight are read, the last two written.
WorkRow SyntheticStep::update_row() const {
  const Tensor& gradients = network_.parameters->gradients();
  return {"parameters",
          "update",
          "",
          "update",
          gradients.shape().str(),
          "",
          DType::f32,
          0,
          5.0 * static_cast<double>(gradients.bytes())};
}

void SyntheticStep::run(StreamRef s) {
  upload(s);
  normalize(s);
  forward(s);
  if (training_) {
    backward(s);
    update(s);
  }
}

}  // namespace ft::app
