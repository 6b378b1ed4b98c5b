// What an operation graph of cuDNN means, and running it: one convolution (forward, data or weight gradient), then
// pointwise additions and ReLU. Anything else that cuDNN would know is refused with a reason. Immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/sim/cudnn_descriptor.h"
#include "tests/sim/loops.h"

namespace sim {

// A tensor of a graph: n,c,h,w, with c innermost in memory.
struct GraphTensor {
  std::array<int64_t, 4> dims{};
  Element type = Element::f32;
  int64_t alignment = 0;
  bool is_virtual = false;
  int64_t elements() const { return dims[0] * dims[1] * dims[2] * dims[3]; }
  size_t bytes() const { return static_cast<size_t>(elements()) * bytes_of(type); }
};

class Graph {
 public:
  // Throws std::runtime_error with what is wrong.
  explicit Graph(const CudnnDescriptor& graph);

  // Of the tensors in memory: by id.
  const std::map<int64_t, GraphTensor>& tensors() const { return tensors_; }
  int64_t output() const { return steps_.back().y; }
  bool is_bf16_or_f16() const;
  // Runs it over the memory at these places; `tensor_cores`: f32 inputs of the convolution are rounded to TF32.
  void run(const std::map<int64_t, void*>& data, bool tensor_cores) const;

 private:
  struct Step {
    enum class Kind { forward, backward_data, backward_weights, add, relu } kind;
    int64_t a, b, y;  // ids; b of relu is a
    Convolution convolution;
  };
  Step read_convolution(const CudnnDescriptor& op);
  Step read_pointwise(const CudnnDescriptor& op);
  int64_t read_tensor(const CudnnDescriptor& t);
  void check_order() const;
  Values compute(const Step& step, const std::map<int64_t, Values>& values,
                 bool tensor_cores) const;

  std::map<int64_t, GraphTensor> tensors_;
  std::vector<Step> steps_;
};

}  // namespace sim
