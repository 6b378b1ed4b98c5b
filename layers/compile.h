// compile(): everything that can be decided once is decided here: which nodes run, which train, which
// gradients exist, element types, layouts, plans, lifetimes and memory offsets. What comes out, a
// CompiledGraph, explains the step when it is printed and only has to be run (layers/executor.h).
//
// Several compilations (training, last partial batch, evaluation) share one ParameterSet and one arena
// that is as large as the largest of them: bind() gives each its memory.
#pragma once

#include <optional>

#include "layers/graph.h"
#include "layers/parameter_set.h"
#include "tensor/arena.h"

namespace ft {

enum class Mode : uint8_t { training, inference };

struct CompileOptions {
  int64_t batch = 1;
  Mode mode = Mode::inference;
  NumericsPolicy numerics;
  std::optional<BnMode> bn;  // overrides the rule below for every batch-norm, frozen ones too
  ValueId to = -1;           // last value to compute; -1: the output of the last node
  ValueId from = -1;     // computed elsewhere and given as an input: only what lies behind it runs
  TensorSpec from_spec;  // how `from` lies in memory
  std::vector<ValueId> keep;  // values that survive until the end of the step
  std::vector<ValueId>
      keep_gradients;        // values whose gradient is computed and survives; kept as well
  bool fuse = true;          // rewrites on; false: one compiled node for each of the graph
  bool reuse_memory = true;  // false: every block has its own place (for tests)
};

// What happens with the gradient of one input of a node in the backward pass.
enum class GradientFlow : uint8_t {
  none,      // nobody needs it
  write,     // the first contribution: written in place
  add,       // a further one: written aside, then added
  pass,      // the node is a view and dx is dy: nothing runs
  copy,      // the same, but dy has to survive: copied
  pass_add,  // dx is dy, and is added to what is there
};

// One thing that runs: a node of the graph, or several that a rewrite made one.
struct CompiledNode {
  int node = -1;     // index in Graph::nodes(): the (last) node whose output it computes
  std::string name;  // "conv1", or "conv1+bn1+relu" where fused
  std::vector<ValueId> inputs;
  ValueId output = -1;
  std::vector<int> parameters;   // in Graph::parameters(), as the layer wants them
  std::unique_ptr<Layer> layer;  // with plans
  LayerPlan plan;
  bool training = false;  // dropout on, batch statistics
  BnMode bn = BnMode::frozen;
  bool wants_dw = false;
  bool runs_backward = false;
  std::vector<GradientFlow> flow;  // one per input
  std::vector<int> side;           // block for a contribution that is added, or -1; one per input
  int aux = -1, forward_workspace = -1, backward_workspace = -1;  // blocks, -1: none
};

struct CompiledValue {
  bool used = false;
  TensorSpec spec;
  int block = -1, gradient = -1;  // blocks of the arena, -1: none
};

class CompiledGraph {
 public:
  // Throws Error 24xx if the graph cannot be compiled so, 302x if the backend has no plan.
  CompiledGraph(const Graph& graph, Backend& backend, const CompileOptions& options);

  const Graph& graph() const { return graph_; }
  const CompileOptions& options() const { return options_; }
  const std::vector<CompiledNode>& nodes() const { return nodes_; }
  const std::vector<CompiledValue>& values() const { return values_; }
  const std::vector<ArenaBlock>& blocks() const { return blocks_; }
  ValueId output() const { return options_.to; }
  bool has_backward() const;

  size_t arena_bytes() const { return arena_bytes_; }
  // Bytes that the same step would take if no block shared memory.
  size_t unplanned_bytes() const;

  // 2 * multiply-adds of the forward pass of one node at this batch size.
  double flops(const CompiledNode& node) const;

  // One line a node: what it does, where its output lies, which plan runs.
  std::string str() const;
  // The backward walk as it will run, a line a node: dx and dw made, sums at forks, and what it reads of the
  // forward pass with its bytes; then their sum, values that several nodes read counted once, and a legend.
  std::string tape() const;
  // The values of the forward pass that the backward pass of `node` reads.
  std::vector<ValueId> saved_values(const CompiledNode& node) const;

 private:
  friend class Compiler;
  std::string gradients_line(const CompiledNode& node) const;

  const Graph& graph_;
  CompileOptions options_;
  std::vector<CompiledNode> nodes_;
  std::vector<CompiledValue> values_;
  std::vector<ArenaBlock> blocks_;
  size_t arena_bytes_ = 0;
};

}  // namespace ft
