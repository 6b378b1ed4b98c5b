// A safetensors file: a JSON header that gives each tensor its type, shape and range, then the numbers. Read strictly, as
// the format's own text says: the ranges tile the data without a hole, and nothing is written in two ways. Pure function.
// Source: the README of github.com/huggingface/safetensors, section Format.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// The tensors in the order of their numbers. A tensor without sides is one number; one with a side of 0 has none and an
// empty range, which may be where another begins. Types of less than a byte are refused.
// Throws Error 2356 for a name twice, 2370 for an impossible length of the header, 2371 for a header that is not the
// format's JSON, 2372 for ranges that overlap, leave a hole or do not end with the file, 2373 for a range that does not
// have the size of its shape, 2374 for metadata that is no text.
SourceFile open_safetensors(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
