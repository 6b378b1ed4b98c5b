// The tensors that measured ops read and write. Tensors of one role ("x", "dy", "y") share one block, grown
// to the largest, so that a long list of cases needs the memory of its largest one and ops find their
// operands as cold as in a network. Inputs hold normal numbers and are never written; outputs hold anything.
// One thread; borrows the backend.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensor/backend.h"

namespace ft::ops {

class OpMemory {
 public:
  OpMemory(Backend& backend, StreamRef stream) : backend_(backend), stream_(stream) {}
  Backend& backend() const { return backend_; }
  StreamRef stream() const { return stream_; }

  // How this backend keeps activations of a shape in its networks: images of three channels in its image
  // layout, other maps as its convolutions write them, matrices plain.
  TensorSpec activation(const Shape& shape, DType compute) const;
  // f32, in the layout of parameters.
  TensorSpec parameter(const Shape& shape) const;

  // f32 or bf16, normal numbers.
  Tensor input(const std::string& role, const TensorSpec& spec);
  Tensor output(const std::string& role, const TensorSpec& spec);
  // Scratch memory; empty for 0 bytes.
  Tensor scratch(const std::string& role, size_t bytes);
  // Memory of its own, with these bytes in it.
  Tensor holding(const TensorSpec& spec, const void* bytes);
  // Memory of its own, f32, normal numbers times `scale` plus `centre`: weights.
  Tensor drawn(const TensorSpec& spec, float scale, float centre = 0);

 private:
  Tensor block(const std::string& name, DType dtype, size_t bytes, bool fill);
  const std::vector<float>& normals();

  Backend& backend_;
  StreamRef stream_;
  std::map<std::string, Tensor> blocks_;
  std::vector<float> normals_;
};

}  // namespace ft::ops
