// Flat parameter buffers.
#include "layers/parameter_set.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <thread>

#include "tensor/rng.h"

namespace ft {
namespace {

constexpr int64_t kAlignElements = 64;  // each parameter starts on its own cache lines

int64_t padded(int64_t elements) {
  return (elements + kAlignElements - 1) / kAlignElements * kAlignElements;
}

// FNV-1a, 64 bit (Fowler, Noll, Vo): a name's place in the random numbers of initialisation.
uint64_t hash_of(const std::string& name) {
  uint64_t h = 14695981039346656037ull;
  for (unsigned char c : name) h = (h ^ c) * 1099511628211ull;
  return h;
}

// Large tensors by several threads; what is drawn does not depend on how many.
void draw_normal(const Rng& rng, double deviation, std::span<float> values) {
  const int64_t count = static_cast<int64_t>(values.size());
  const int64_t threads =
      count < (1 << 16) ? 1 : std::clamp<int64_t>(std::thread::hardware_concurrency(), 1, 16);
  const int64_t part = (count / threads + 2) / 2 * 2;
  std::vector<std::jthread> pool;
  for (int64_t first = part; first < count; first += part)
    pool.emplace_back([&, first] {
      fill_normal(rng, deviation, values.data(), first, std::min(first + part, count));
    });
  fill_normal(rng, deviation, values.data(), 0, std::min(part, count));
}

// Batches do not count here: what the network alone needs.
Tensor allocate_flat(int64_t elements, DType dtype, Backend& backend) {
  try {
    return Tensor({{elements}, dtype, Layout::plain}, backend.allocator());
  } catch (const Error& e) {
    if (e.status() != ExitStatus::out_of_memory) throw;
    throw Error(e.number(), e.where(), "for the parameters: " + e.seen(),
                "use a smaller network, or a machine with more memory");
  }
}

}  // namespace

void draw_initial(const Parameter& parameter, uint64_t seed, std::span<float> values) {
  const Init& init = parameter.init;
  const Rng rng(seed, RngPurpose::init, 0, hash_of(parameter.name));
  const double deviation = std::sqrt(2.0 / static_cast<double>(init.fan_in));
  const double bound = std::sqrt(6.0 / static_cast<double>(init.fan_in + init.fan_out));
  if (init.kind == Init::Kind::he_normal) return draw_normal(rng, deviation, values);
  for (size_t i = 0; i < values.size(); ++i) {
    switch (init.kind) {
      case Init::Kind::constant:
        values[i] = static_cast<float>(init.value);
        break;
      case Init::Kind::he_normal:
        break;
      case Init::Kind::glorot_uniform:
        values[i] = static_cast<float>(bound * (2.0 * rng.uniform(i) - 1.0));
        break;
    }
  }
}

ParameterSet::ParameterSet(const Graph& graph, Backend& backend, DType dtype)
    : graph_(graph), backend_(backend), dtype_(dtype), slots_(graph.parameters().size()) {
  const auto& parameters = graph.parameters();
  std::map<std::pair<double, double>, size_t> group_of;
  std::vector<int> frozen;
  for (int i = 0; i < static_cast<int>(parameters.size()); ++i) {
    const Parameter& p = parameters[static_cast<size_t>(i)];
    if (!p.trainable || p.is_statistic()) {
      frozen.push_back(i);
      continue;
    }
    const auto [it, fresh] = group_of.try_emplace({p.lr_factor, p.decay_factor}, groups_.size());
    if (fresh) groups_.push_back({0, 0, p.lr_factor, p.decay_factor, {}});
    groups_[it->second].parameters.push_back(i);
  }
  int64_t offset = 0;
  const auto place = [&](int i) {
    slots_[static_cast<size_t>(i)].offset = offset;
    offset += padded(parameters[static_cast<size_t>(i)].shape.elements());
  };
  for (ParameterGroup& group : groups_) {
    group.first = offset;
    for (int i : group.parameters) place(i);
    group.count = offset - group.first;
  }
  trainable_ = offset;
  for (int i : frozen) place(i);

  values_ = allocate_flat(offset, dtype, backend);
  gradients_ = allocate_flat(trainable_, dtype, backend);
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Shape& shape = parameters[i].shape;
    const TensorSpec spec{shape, dtype,
                          shape.rank() == 4 ? backend.weight_layout() : Layout::plain};
    slots_[i].value = values_.slice(slots_[i].offset, {shape.elements()}).reinterpret(spec);
    if (slots_[i].offset < trainable_)
      slots_[i].grad = gradients_.slice(slots_[i].offset, {shape.elements()}).reinterpret(spec);
  }
  const auto stream = backend.make_stream();
  backend.fill_zero(stream->ref(), values_);
  if (trainable_ > 0) backend.fill_zero(stream->ref(), gradients_);
  backend.synchronize(stream->ref());
}

void ParameterSet::initialize(uint64_t seed, StreamRef s,
                              const std::function<bool(const Parameter&)>& wanted) {
  std::vector<float> values;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const Parameter& p = graph_.parameters()[i];
    if (wanted && !wanted(p)) continue;
    values.resize(static_cast<size_t>(p.shape.elements()));
    draw_initial(p, seed, values);
    set(static_cast<int>(i), values, s);
  }
}

void ParameterSet::set(int parameter, std::span<const float> values, StreamRef s) {
  const Tensor& t = value(parameter);
  FT_CHECK(
      static_cast<int64_t>(values.size()) == t.shape().elements(),
      "wrong number of values for " + graph_.parameters()[static_cast<size_t>(parameter)].name);
  const Tensor plain({t.shape(), DType::f32, Layout::plain}, backend_.allocator());
  backend_.upload(s, values.data(), plain);
  backend_.convert(s, plain, t);
  backend_.synchronize(s);
  ++load_version_;
}

std::vector<float> ParameterSet::download(const Tensor& t, StreamRef s) const {
  const Tensor plain({t.shape(), DType::f32, Layout::plain}, backend_.allocator());
  std::vector<float> values(static_cast<size_t>(t.shape().elements()));
  backend_.convert(s, t, plain);
  backend_.download(s, plain, values.data());
  backend_.synchronize(s);
  return values;
}

std::vector<float> ParameterSet::get(int parameter, StreamRef s) const {
  return download(value(parameter), s);
}

std::vector<float> ParameterSet::get_grad(int parameter, StreamRef s) const {
  FT_CHECK(!grad(parameter).empty(), "the parameter is frozen and has no gradient");
  return download(grad(parameter), s);
}

ParamView ParameterSet::view(int parameter) const {
  const Slot& slot = slots_[static_cast<size_t>(parameter)];
  return {slot.value, slot.grad, version(parameter)};
}

uint64_t ParameterSet::version(int parameter) const {
  const Slot& slot = slots_[static_cast<size_t>(parameter)];
  return load_version_ + (slot.grad.empty() && !slot.moving ? 0 : step_version_);
}

size_t ParameterSet::bytes() const { return values_.bytes() + gradients_.bytes(); }

}  // namespace ft
