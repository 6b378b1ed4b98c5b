// The frozen front of a network, compiled on its own. It always runs at one fixed batch size by the same plans,
// tails padded, in training and evaluation, whether its outputs (features) are stored or not: a feature is then
// the same bits whatever images stand beside it, and stored ones can take the place of computed ones.
// Used by one thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/ftrun/network.h"
#include "layers/executor.h"

namespace ft::app {

// Where the frozen front ends: the last value that is no function of what trains and that every way from the
// image to the loss goes through.
struct Cut {
  ValueId value = -1;  // -1: there is no such front
  std::string reason;  // why there is none
};

// bn: what --bn says of every batch-norm, frozen ones too.
Cut find_cut(const Model& model, const std::optional<BnMode>& bn);

class Prefix {
 public:
  Prefix(Network& network, Backend& backend, const NumericsPolicy& numerics, ValueId cut,
         int64_t batch);
  // Arena of compiled().arena_bytes() or more, shared with whatever does not run at the same time.
  void bind(const Tensor& arena, const Tensor& state);

  // n features: as they lie in memory, on the device and where they are stored.
  TensorSpec spec(int64_t n) const;
  size_t row_bytes() const { return spec(1).bytes(); }

  // pixels, on the host {n,H,W,3} as the recipe makes them -> features spec(n), on the device. Any n.
  void run(const uint8_t* pixels, int64_t n, const Tensor& features, StreamRef s);

  const CompiledGraph& compiled() const { return compiled_; }
  int64_t batch() const { return compiled_.options().batch; }
  ValueId cut() const { return compiled_.output(); }
  size_t bytes() const { return pixels_.bytes(); }

 private:
  Network& network_;
  Backend& backend_;
  CompiledGraph compiled_;
  std::unique_ptr<Executor> executor_;
  NormalizeSpec normalize_;
  Tensor pixels_;
};

// Rows first to first + n - 1 of a tensor, whatever its layout; a view.
Tensor rows_of(const Tensor& tensor, int64_t first, int64_t n);

}  // namespace ft::app
