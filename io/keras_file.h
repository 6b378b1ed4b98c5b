// A weight file of Keras, in both of its forms:
//   legacy   one group a layer, arrays by name; Keras 1 to 3, also under "model_weights" in a file of a whole model.
//   current  ".weights.h5" of Keras 3: "layers/CLASS_N/vars/I", mostly with the layer's name beside it.
// Nothing of the model's description is interpreted but the epsilon of its batch-norms. Only plain parts of HDF5 are
// read, see io/hdf5_reader.h. Pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// Tensors are named LAYER/ROLE, ROLE being weight, bias, gamma, beta, mean or variance; what is none of these keeps its
// name in the file, so that nothing takes it for a parameter. A layer without a name is called CLASS_N.
// Throws Error 2380 for a description that is no JSON, and what hdf5::Reader throws.
SourceFile open_keras(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
