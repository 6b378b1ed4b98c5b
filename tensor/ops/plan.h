// What all op plans share. A plan is one op for fixed specs, made once at setup by a Backend, in graph
// order, from the layouts of its inputs; it states the spec of its output. Running it builds, looks up
// and allocates nothing. A plan belongs to one node of one compiled graph and is used by one thread.
// Every tensor handed to a plan or an op starts at a multiple of 16 bytes, so that vendors may load vectors.
// Spec and interface of an op stand in tensor/ops, the implementations under the same file name in
// tensor/ref, tensor/cpu and tensor/cuda.
#pragma once

#include <cstdint>
#include <string>

#include "tensor/stream.h"
#include "tensor/tensor.h"

namespace ft {

// The three named passes of an op.
enum class PassKind : uint8_t { forward, backward_data, backward_weights };

// The passes that a plan is made for; a frozen layer asks for forward alone.
struct PassSet {
  bool backward_data = false;
  bool backward_weights = false;
  bool any_backward() const { return backward_data || backward_weights; }
};

// How numbers may be computed; set once in the compile options, never tested by a layer.
struct NumericsPolicy {
  DType compute = DType::f32;  // f64 (ref only), f32, bf16: element type of activations
  bool tf32 = false;           // f32 products may round their inputs to TF32 (CUDA)
  bool deterministic = true;   // the same bytes every time
};

class Plan {
 public:
  virtual ~Plan() = default;
  // Scratch memory that each pass may use; the caller's workspace tensor has at least this size.
  virtual size_t workspace_bytes() const { return 0; }
  // What of it a pass uses.
  virtual size_t pass_workspace(PassKind) const { return workspace_bytes(); }
  // Memory that the plan itself keeps from its making on: packed and 16-bit copies of the weights.
  virtual size_t kept_bytes() const { return 0; }
  // Whether a pass gives the same bytes every time.
  virtual bool deterministic(PassKind) const { return true; }
  // Which algorithm a pass runs, in the vendor's words: "jit:avx512_core", "ref".
  virtual std::string describe(PassKind) const = 0;
};

// The parameters of a layer as its plan reads them. `version` moves whenever the values change; a plan
// keeps packed or 16-bit copies and remakes them when the version moved. An empty bias means none.
struct Weights {
  Tensor w;
  Tensor b;
  uint64_t version = 0;
};

}  // namespace ft
