// Text views of a graph: the layer table of `ftrun summary` and the graph as DOT.
#pragma once

#include <string>

#include "layers/compile.h"

namespace ft {

// Node, kind and settings, output shape for batch n, parameters (trainable ones marked), multiply-adds.
// With `compiled`, also bytes and offset of every output in the arena and the plan that runs.
std::string summary_table(const Graph& graph, int64_t batch,
                          const CompiledGraph* compiled = nullptr);

// The graph in Graphviz's DOT language; names are quoted.
std::string graph_dot(const Graph& graph);

}  // namespace ft
