// Opening somebody else's weight file, whatever its kind: content decides, not the name. Pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// The tensors of a PyTorch, safetensors, Keras, MATLAB or Caffe file. `path` is for messages.
// Throws Error 2351 for any other content, naming it, and what the reader of its kind throws.
SourceFile open_source(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
