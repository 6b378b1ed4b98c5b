// A MATLAB file of version 7.3 with plain arrays that are named LAYER_ROLE, ROLE being weight, bias, gamma, beta, mean or
// variance, as the lines of MATLAB in docs/convert.md write them. It is an HDF5 file behind 512 bytes of MATLAB's own.
// Pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// Tensors are named LAYER/ROLE, with the shapes that HDF5 gives to MATLAB's arrays: dimensions in reverse, those of
// weights in groups joined to one of outputs, vectors without their sides of 1. An array input_mean {3,W,H} or {3,1,1}
// is the mean of the input layer.
// Throws Error 2382 for anything but plain arrays of single or double, 2383 for an input_mean of another shape, and
// what hdf5::Reader throws.
SourceFile open_mat(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
