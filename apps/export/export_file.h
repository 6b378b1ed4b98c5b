// A weight file as the files of other programs. Pure functions; what they return borrows the numbers.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "io/byte_pieces.h"
#include "io/weights.h"
#include "models/model.h"

namespace ft::exporting {

enum class Format : uint8_t {
  torch,        // a state_dict of torchvision's network, for torch.load
  safetensors,  // the same tensors, with recipe and classes beside them
  onnx,         // the network itself
};

// By the ending of a name: .pth or .pt, .safetensors, .onnx.
std::optional<Format> format_of(const std::filesystem::path& path);
// By its name on the command line: "torch", "safetensors", "onnx".
std::optional<Format> format_of_name(const std::string& name);
std::string describe(Format format);

// The name of torchvision's function for this network; "" if torchvision does not have it.
std::string torchvision_name(const std::string& model);

// `weights` has every tensor of `model`. Where torchvision has the network, names and shapes are all that its
// load_state_dict(strict=True) asks for. Throws Error 2397 for Format::torch of any other network, and 2398 where the
// format cannot hold so many bytes; `path` is the file to be, for messages.
BytePieces export_file(const Model& model, const WeightFile& weights, Format format,
                       const std::string& path);

}  // namespace ft::exporting
