// What the readers of Keras and MATLAB files share: arrays of an HDF5 file as tensors of a source. Tensors share the
// ownership of the reader, which borrows the bytes of the file.
#pragma once

#include <memory>
#include <string>

#include "io/hdf5_reader.h"
#include "io/source_tensor.h"

namespace ft::hdf5 {

// The dataset at `path` as a tensor `name` of its own shape; nothing is read yet. 64-bit numbers become 32-bit ones
// where that is exact. Throws as Reader::info(), and Error 2347 for what holds no floats.
SourceTensor source_tensor(const std::shared_ptr<const Reader>& reader, const std::string& path,
                           std::string name, const std::string& file);

}  // namespace ft::hdf5
