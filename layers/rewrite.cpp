// Compilation: rewrites. What runs in evaluation mode without a backward pass is fused: convolution, frozen
// batch-norm, residual add and ReLU become one node. Where the backward pass runs, batch-norm, residual add and
// ReLU do. The new node stands where the last of them stood.
#include <algorithm>

#include "layers/batchnorm2d.h"
#include "layers/compiler.h"
#include "layers/fused_conv2d.h"

namespace ft {

// The only reader of what node i makes, if that value may vanish: not kept, read once. Both run backward or none.
std::optional<size_t> Compiler::only_reader(size_t i, const std::vector<bool>& gone) const {
  const CompiledNode& c = out_.nodes_[i];
  const std::vector<size_t>& users = users_[static_cast<size_t>(c.output)];
  if (kept(c.output) || users.size() != 1 || gone[users[0]]) return std::nullopt;
  if (out_.nodes_[users[0]].runs_backward != c.runs_backward) return std::nullopt;
  return users[0];
}

// The chain of single readers from node i on, as far as it has these kinds in this order; each may be absent.
std::vector<size_t> Compiler::chain(size_t i, std::initializer_list<std::string_view> kinds,
                                    const std::vector<bool>& gone) const {
  std::vector<size_t> parts{i};
  for (std::string_view kind : kinds) {
    const std::optional<size_t> reader = only_reader(parts.back(), gone);
    if (reader && out_.nodes_[*reader].layer->kind() == kind) parts.push_back(*reader);
  }
  return parts;
}

// The input of an add that does not come from the chain.
ValueId Compiler::residual_of(size_t add, size_t before) const {
  const std::vector<ValueId>& in = out_.nodes_[add].inputs;
  return in[0] == out_.nodes_[before].output ? in[1] : in[0];
}

// The last of `parts` becomes the fused node, the others are gone.
void Compiler::fuse(const std::vector<size_t>& parts, std::unique_ptr<Layer> layer,
                    ValueId residual, std::vector<bool>& gone) {
  CompiledNode fused = {};
  for (size_t part : parts) {
    const CompiledNode& c = out_.nodes_[part];
    fused.name += (fused.name.empty() ? "" : "+") + c.name;
    fused.parameters.insert(fused.parameters.end(), c.parameters.begin(), c.parameters.end());
    gone[part] = part != parts.back();
  }
  const CompiledNode& first = out_.nodes_[parts.front()];
  fused.training = first.training;
  fused.bn = first.bn;
  fused.wants_dw = first.wants_dw;
  fused.runs_backward = first.runs_backward;
  fused.node = out_.nodes_[parts.back()].node;
  fused.inputs.push_back(first.inputs[0]);
  if (residual != -1) fused.inputs.push_back(residual);
  fused.output = out_.nodes_[parts.back()].output;
  fused.layer = std::move(layer);
  out_.nodes_[parts.back()] = std::move(fused);
}

void Compiler::fuse_convolution(size_t i, std::vector<bool>& gone) {
  const auto* conv = dynamic_cast<const Conv2d*>(out_.nodes_[i].layer.get());
  if (conv == nullptr || out_.nodes_[i].runs_backward) return;
  const std::vector<size_t> parts = chain(i, {"batchnorm2d", "add", "relu"}, gone);
  if (parts.size() == 1) return;
  FusedConv2dConfig config{conv->config(), {}, false, false};
  ValueId residual = -1;
  for (size_t k = 1; k < parts.size(); ++k) {
    const CompiledNode& c = out_.nodes_[parts[k]];
    if (const auto* bn = dynamic_cast<const BatchNorm2d*>(c.layer.get())) {
      if (c.bn != BnMode::frozen) return;
      config.bn_epsilon = bn->epsilon();
    } else if (c.layer->kind() == "add") {
      config.add = true;
      residual = residual_of(parts[k], parts[k - 1]);
    } else {
      config.relu = true;
    }
  }
  fuse(parts, std::make_unique<FusedConv2d>(config), residual, gone);
}

void Compiler::fuse_batchnorm(size_t i, std::vector<bool>& gone) {
  const auto* bn = dynamic_cast<const BatchNorm2d*>(out_.nodes_[i].layer.get());
  if (bn == nullptr || !out_.nodes_[i].runs_backward) return;
  const std::vector<size_t> parts = chain(i, {"add", "relu"}, gone);
  if (parts.size() == 1) return;
  const bool add = out_.nodes_[parts[1]].layer->kind() == "add";
  const bool relu = out_.nodes_[parts.back()].layer->kind() == "relu";
  fuse(parts, bn->fused(add, relu), add ? residual_of(parts[1], i) : -1, gone);
}

void Compiler::rewrite() {
  std::vector<bool> gone(out_.nodes_.size(), false);
  for (size_t i = 0; i < out_.nodes_.size(); ++i)
    if (!gone[i]) {
      fuse_convolution(i, gone);
      fuse_batchnorm(i, gone);
    }
  size_t kept_count = 0;
  for (size_t i = 0; i < out_.nodes_.size(); ++i)
    if (!gone[i]) {
      if (kept_count != i) out_.nodes_[kept_count] = std::move(out_.nodes_[i]);
      ++kept_count;
    }
  out_.nodes_.resize(kept_count);
}

}  // namespace ft
