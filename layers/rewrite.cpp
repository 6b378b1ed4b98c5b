// Compilation: rewrites. What runs in evaluation mode without a backward pass is fused: convolution, frozen
// batch-norm, residual add and ReLU become one node, placed where the last of them stood.
#include <algorithm>

#include "layers/batchnorm2d.h"
#include "layers/compiler.h"
#include "layers/fused_conv2d.h"

namespace ft {

// The only reader of what node i makes, if that value may vanish: not kept, read once, no backward pass.
std::optional<size_t> Compiler::only_reader(size_t i, const std::vector<bool>& gone) const {
  const ValueId y = out_.nodes_[i].output;
  const std::vector<size_t>& users = users_[static_cast<size_t>(y)];
  if (kept(y) || needs_gradient(y) || users.size() != 1 || gone[users[0]]) return std::nullopt;
  const CompiledNode& reader = out_.nodes_[users[0]];
  if (reader.runs_backward) return std::nullopt;
  return users[0];
}

void Compiler::fuse_from(size_t i, std::vector<bool>& gone) {
  const auto* conv = dynamic_cast<const Conv2d*>(out_.nodes_[i].layer.get());
  if (conv == nullptr || out_.nodes_[i].runs_backward) return;
  FusedConv2dConfig config{conv->config(), {}, false, false};
  std::vector<size_t> parts{i};
  const auto next = [&](std::string_view kind) -> const CompiledNode* {
    const std::optional<size_t> reader = only_reader(parts.back(), gone);
    if (!reader || out_.nodes_[*reader].layer->kind() != kind) return nullptr;
    parts.push_back(*reader);
    return &out_.nodes_[*reader];
  };
  ValueId residual = -1;
  if (const CompiledNode* bn = next("batchnorm2d")) {
    if (bn->bn != BnMode::frozen) {
      parts.pop_back();
      return;
    }
    config.bn_epsilon = dynamic_cast<const BatchNorm2d&>(*bn->layer).epsilon();
  }
  if (const CompiledNode* add = next("add")) {
    const ValueId mine = out_.nodes_[parts[parts.size() - 2]].output;
    residual = add->inputs[0] == mine ? add->inputs[1] : add->inputs[0];
    config.add = true;
  }
  config.relu = next("relu") != nullptr;
  if (parts.size() == 1) return;

  CompiledNode fused;
  for (size_t part : parts) {
    const CompiledNode& c = out_.nodes_[part];
    fused.name += (fused.name.empty() ? "" : "+") + c.name;
    fused.parameters.insert(fused.parameters.end(), c.parameters.begin(), c.parameters.end());
    gone[part] = part != parts.back();
  }
  fused.node = out_.nodes_[parts.back()].node;
  fused.inputs = {out_.nodes_[i].inputs[0]};
  if (residual != -1) fused.inputs.push_back(residual);
  fused.output = out_.nodes_[parts.back()].output;
  fused.layer = std::make_unique<FusedConv2d>(config);
  out_.nodes_[parts.back()] = std::move(fused);
}

void Compiler::fuse_frozen() {
  std::vector<bool> gone(out_.nodes_.size(), false);
  for (size_t i = 0; i < out_.nodes_.size(); ++i)
    if (!gone[i]) fuse_from(i, gone);
  size_t kept_count = 0;
  for (size_t i = 0; i < out_.nodes_.size(); ++i)
    if (!gone[i]) {
      if (kept_count != i) out_.nodes_[kept_count] = std::move(out_.nodes_[i]);
      ++kept_count;
    }
  out_.nodes_.resize(kept_count);
}

}  // namespace ft
