// Writing a dictionary of tensors as torch.save does (the zip archive of PyTorch 1.6 and newer), for
// torch.load(weights_only=True). Of the pickle's instructions it uses those that describe tensors. Pure function.
#pragma once

#include <span>

#include "io/byte_pieces.h"
#include "io/plain_tensor.h"

namespace ft {

constexpr uint64_t kMostTorchBytes = 0xffffffff;  // of a file: the archive has no 64-bit fields

// The file that holds OrderedDict(name -> tensor), in this order; every tensor has a storage of its own, whose numbers
// lie at a multiple of 64 bytes. Borrows the numbers. No times are stored: equal tensors make equal files.
// FT_CHECK: the file has kMostTorchBytes or less; bytes have the size of the shape.
BytePieces torch_file(std::span<const PlainTensor> tensors);

}  // namespace ft
