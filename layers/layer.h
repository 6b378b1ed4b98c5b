// Layer: one differentiable function with parameters and no activations. Its .cpp holds shape rule,
// forward and backward, and knows no backend, no dtype and no stream of its own.
//
// A layer in a Graph is a description. compile() clones it and calls setup() on the clone, which makes the
// op plans for one batch size and one set of passes; forward() and backward() then only run plans.
//
// Gradient convention (the one place where it is stated): backward receives dy, overwrites every dx it is
// given, and overwrites the gradient of every trainable parameter. An empty dx means that nobody needs it.
// Autograd alone adds gradients where a value has several users; accumulation over micro-batches is asked
// for explicitly. A layer states in setup() which forward tensors its backward reads; nothing else survives.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "layers/parameter.h"
#include "tensor/backend.h"

namespace ft {

// What compile() tells a layer about its place in one compilation.
struct LayerSetup {
  Backend& backend;
  std::string node;               // for messages
  uint32_t node_index;            // for dropout's random numbers
  std::span<const TensorSpec> x;  // specs of the inputs, layouts as their producers chose them
  bool training;                  // false: evaluation mode (frozen prefix, inference, Grad-CAM)
  BnMode bn;                      // for batch-norms
  DType y_dtype;                  // element type that the output has to have
  std::vector<bool> wants_dx;     // one per input
  bool wants_dw;                  // some parameter of this node trains
  NumericsPolicy numerics;
};

// What a layer answers: what compile() needs for memory and lifetimes.
struct LayerPlan {
  TensorSpec y;
  size_t workspace_bytes = 0;  // scratch of any pass
  size_t aux_bytes = 0;        // written by forward, read by backward, kept in between
  int backward_reads_x = 0;    // how many inputs, from the first on, are kept for backward
  bool backward_reads_y = false;
  bool alias = false;  // y is x seen through another shape: no memory, nothing runs
  int in_place = -1;   // y may take the memory of this input, and its dx that of dy; -1: of none
};

// One parameter as a layer sees it while running.
struct ParamView {
  Tensor value;
  Tensor grad;  // empty: frozen
  uint64_t version = 0;
};

// Everything a layer may touch while running; made by the executor.
struct Pass {
  Backend& backend;
  StreamRef stream;
  std::span<const Tensor> x;          // inputs; in backward only the first backward_reads_x
  Tensor y;                           // output; in backward only where backward_reads_y
  Tensor dy;                          // backward only
  std::span<const Tensor> dx;         // backward only, one per input, empty where not wanted
  std::span<const ParamView> params;  // in the order of Layer::parameters()
  Tensor aux;
  Tensor workspace;
  Tensor state;  // the step state, see tensor/ops/pointwise.h
};

class Layer {
 public:
  virtual ~Layer() = default;
  virtual std::string_view kind() const = 0;  // "conv2d"
  // Settings in one line for summaries: "64 of 3x3, stride 2, pad 1".
  virtual std::string settings() const { return {}; }
  virtual std::unique_ptr<Layer> clone() const = 0;

  // Parameters with names relative to the node ("weight"), for inputs of these shapes.
  virtual std::vector<Parameter> parameters(std::span<const Shape> x) const {
    (void)x;
    return {};
  }
  // Shape of the output. Throws Error 24xx naming `node` if the inputs do not fit.
  virtual Shape infer(const std::string& node, std::span<const Shape> x) const = 0;
  // 2 * multiply-adds of one forward pass.
  virtual double flops(std::span<const Shape> x) const {
    (void)x;
    return 0;
  }

  // Makes the plans. Called once, on a clone, before any pass.
  virtual LayerPlan setup(const LayerSetup& setup) = 0;
  virtual void forward(const Pass& pass) = 0;
  virtual void backward(const Pass& pass) = 0;
  // Whether backward makes dx and the gradients of the parameters by separate work, so that asking for one and
  // then for the other costs the same as asking for both; an executor then does so, and each can be watched.
  virtual bool splits_backward() const { return false; }
  // The plan that the passes run, once set up; nullptr for plain ops.
  virtual const Plan* plan() const { return nullptr; }
  // Which algorithm a pass runs: "jit:avx512_core"; empty for plain ops.
  std::string describe(PassKind pass) const { return plan() ? plan()->describe(pass) : ""; }
};

}  // namespace ft
