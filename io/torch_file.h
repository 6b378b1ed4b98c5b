// Files of torch.save: the zip archive of today and the single stream of before 1.6. Both are read as data, through
// io/pickle_reader and one list of symbols: tensors, parameters, their storages, and plain containers. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// The tensors of the dictionary in the file, in its order. The dictionary is the content itself, or the entry
// "state_dict", "model_state_dict" or "model" of it, if exactly one of these holds tensors. Sizes, strides and offsets of
// every tensor lie inside of its storage.
// Throws Error 2351 for TorchScript and Keras archives, 2356 a name twice, 2360-2361 as read_zip(), 2362-2364 as
// read_pickle(), 2365 for a tensor outside of its storage, 2366 if there is no such dictionary.
SourceFile open_torch_zip(std::span<const std::byte> bytes, const std::string& path);
SourceFile open_torch_stream(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
