// Writing safetensors, the format that io/safetensors_file reads. Pure function.
// Source: the format's page in huggingface/safetensors, README.md.
#pragma once

#include <map>
#include <span>
#include <string>

#include "io/byte_pieces.h"
#include "io/plain_tensor.h"

namespace ft {

// The file with these tensors and this `__metadata__`, which is UTF-8. Numbers of 8 bytes lie first, so that all are
// aligned; otherwise the order is kept. Borrows the numbers. FT_CHECK: names differ, bytes have the size of the shape.
BytePieces safetensors_file(std::span<const PlainTensor> tensors,
                            const std::map<std::string, std::string>& metadata);

}  // namespace ft
