// Inside of compile(): the state while a graph is being compiled. Not for users of the library.
// Time runs 0: inputs are written, 1 + i: forward of the i-th node, n + 1: the seed is written,
// 2n + 1 - i: backward of the i-th node, 2n + 2: the end of the step.
#pragma once

#include "layers/compile.h"

namespace ft {

class Compiler {
 public:
  Compiler(CompiledGraph& out, Backend& backend);
  void run();

 private:
  // compile.cpp: what runs, and with which plans
  void select_nodes();
  void find_active();
  void connect();
  // rewrite.cpp: several nodes become one
  void rewrite();
  void fuse_convolution(size_t i, std::vector<bool>& gone);
  void fuse_batchnorm(size_t i, std::vector<bool>& gone);
  std::optional<size_t> only_reader(size_t i, const std::vector<bool>& gone) const;
  std::vector<size_t> chain(size_t i, std::initializer_list<std::string_view> kinds,
                            const std::vector<bool>& gone) const;
  ValueId residual_of(size_t add, size_t before) const;
  void fuse(const std::vector<size_t>& parts, std::unique_ptr<Layer> layer, ValueId residual,
            std::vector<bool>& gone);
  void set_up_layers();
  LayerSetup layer_setup(const CompiledNode& c, const std::vector<TensorSpec>& x) const;
  BnMode bn_mode(bool trains) const;
  DType output_dtype(ValueId y) const;
  // lifetimes.cpp: forward memory
  void place_values();
  bool may_overwrite(size_t i) const;
  static bool reads_later(const CompiledNode& reader, ValueId v);
  void extend_reads(size_t i);
  // autograd.cpp: the backward walk
  void walk_backward();
  void contribute(size_t i, size_t input);

  CompiledValue& value(ValueId v) { return out_.values_[static_cast<size_t>(v)]; }
  const CompiledValue& value(ValueId v) const { return out_.values_[static_cast<size_t>(v)]; }
  bool needs_gradient(ValueId v) const { return needs_gradient_[static_cast<size_t>(v)]; }
  bool kept(ValueId v) const { return kept_[static_cast<size_t>(v)]; }
  bool pinned_gradient(ValueId v) const { return pinned_gradient_[static_cast<size_t>(v)]; }
  int64_t forward_time(size_t i) const { return 1 + static_cast<int64_t>(i); }
  int64_t backward_time(size_t i) const { return 2 * count() + 1 - static_cast<int64_t>(i); }
  int64_t end_time() const { return 2 * count() + 2; }
  int64_t count() const { return static_cast<int64_t>(out_.nodes_.size()); }
  int new_block(size_t bytes, int64_t first, int64_t last);
  void extend(int block, int64_t time);

  CompiledGraph& out_;
  const Graph& graph_;
  CompileOptions& options_;
  Backend& backend_;
  std::vector<bool> kept_, needs_gradient_, pinned_gradient_;
  std::vector<int> producer_;  // value -> index in out_.nodes_, or -1: given from outside
  std::vector<std::vector<size_t>> users_;     // value -> indices in out_.nodes_, ascending
  std::vector<std::vector<ValueId>> members_;  // block -> values that lie in it
};

}  // namespace ft
