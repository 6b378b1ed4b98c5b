// From an entry of the op-case table to something that can be timed: one pass of one op with its plan and
// its operands, and what it costs in arithmetic and in memory traffic.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "apps/ops/op_cases.h"
#include "apps/ops/op_memory.h"

namespace ft::ops {

// A pass as results name it: "forward", "backward_data", ...; empty for an op that has one pass only.
struct PassName {
  PassKind kind = PassKind::forward;
  std::string name;
};
std::vector<PassName> passes_of(const OpSpec& op);

struct OpRun {
  std::function<void()> run;  // queues the pass once on the stream of its memory
  double flops = 0;           // 2 * multiply-adds; 0: an op that is not counted so
  double bytes = 0;  // every operand read or written once, weights in the element type computed in
  std::string algorithm;  // the plan's word for it
  size_t workspace = 0;   // bytes of scratch that the pass uses
  bool deterministic = true;
};

// `op` as its backend would meet it in a network that computes with `numerics`: layouts, element types. The
// plan is made for all passes of the case. Operands are borrowed from `memory`, weights are its own.
OpRun prepare(OpMemory& memory, const OpSpec& op, PassKind pass, const NumericsPolicy& numerics);
// A pass of a convolution on every engine that the backend's library offers, in its order, whatever the rules allow.
std::vector<OpRun> prepare_engines(OpMemory& memory, const Conv2dSpec& spec, PassKind pass,
                                   const NumericsPolicy& numerics);

}  // namespace ft::ops
