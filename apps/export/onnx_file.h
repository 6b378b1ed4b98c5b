// A network as an ONNX model, for inference: what ftrun computes from the normalised input to the logits, operator for
// operator, with our names. Dropout is left out. The batch axis is free, height and width are those of the network.
// Pure function. Source: onnx/onnx, onnx.proto and docs/Operators.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "io/byte_pieces.h"
#include "io/weights.h"
#include "models/model.h"

namespace ft::exporting {

constexpr int64_t kOnnxOpset = 17, kOnnxIrVersion = 8;
constexpr uint64_t kMostOnnxBytes = 0x7fffffff;  // of a protobuf message
constexpr const char* kOnnxInput = "input";      // {N,3,H,W}
constexpr const char* kOnnxOutput = "logits";    // {N,classes}

// `weights` has every tensor of `model` and is borrowed; `metadata` becomes metadata_props and is UTF-8.
// FT_CHECK: the file has kMostOnnxBytes or less.
BytePieces onnx_file(const Model& model, const WeightFile& weights,
                     const std::map<std::string, std::string>& metadata);

}  // namespace ft::exporting
