// Names, counters and metadata, and the writer of each format.
#include "apps/export/export_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "apps/export/onnx_file.h"
#include "io/safetensors_writer.h"
#include "io/torch_writer.h"
#include "tensor/error.h"

namespace ft::exporting {
namespace {

using Json = nlohmann::ordered_json;
using Metadata = std::map<std::string, std::string>;

constexpr uint64_t kHeads = 16 << 20;  // at least what stands around the numbers
// How many batches a batch-norm has seen; torchvision's files have one each, and only a momentum of None reads it.
constexpr int64_t kNoBatches = 0;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string recipe_text(const InputRecipe& r) {
  return dump({{"height", r.height},
               {"width", r.width},
               {"resize", name_of(r.resize)},
               {"short_side", r.short_side},
               {"colour_order", r.colour_order == ColourOrder::rgb ? "rgb" : "bgr"},
               {"scale", r.scale},
               {"mean", r.mean},
               {"std", r.std}});
}

// What the tensors do not tell.
Metadata metadata_of(const Model& model, const WeightFile& weights) {
  return {{"ftrun.model", model.name},
          {"ftrun.variant", find_model(model.name).variant},
          {"ftrun.input_recipe", recipe_text(weights.recipe)},
          {"ftrun.classes", dump(Json(weights.classes))},
          {"ftrun.weights_sha256", weights.sha256}};
}

std::vector<PlainTensor> tensors_of(const Model& model, const WeightFile& weights) {
  const bool counters = !torchvision_name(model.name).empty();
  std::vector<PlainTensor> out;
  for (const Node& node : model.graph.nodes()) {
    for (int i = 0; i < node.parameter_count; ++i) {
      const Parameter& p = model.graph.parameters()[static_cast<size_t>(node.first_parameter + i)];
      const NamedTensor* t = weights.find(p.name);
      FT_CHECK(t != nullptr, p.name + " is missing");
      out.push_back({t->name, t->shape, PlainTensor::Type::f32, std::as_bytes(std::span(t->data))});
    }
    if (counters && node.layer->kind() == "batchnorm2d")
      out.push_back({node.name + ".num_batches_tracked",
                     {},
                     PlainTensor::Type::i64,
                     std::as_bytes(std::span(&kNoBatches, 1))});
  }
  return out;
}

void check_size(const WeightFile& weights, uint64_t most, Format format, const std::string& path) {
  uint64_t bytes = kHeads;
  for (const NamedTensor& t : weights.tensors) bytes += t.data.size() * sizeof(float);
  if (bytes > most)
    throw Error(2398, path,
                fmt::format("{} holds {} bytes at most, the weights have {}", describe(format),
                            most, bytes - kHeads),
                "write safetensors: a name that ends with .safetensors");
}

void check_torchvision(const Model& model, const std::string& path) {
  if (!torchvision_name(model.name).empty()) return;
  throw Error(
      2397, path,
      fmt::format("torchvision has no {}: a network of its own would take these weights, or "
                  "a part of them, and compute something else",
                  model.name),
      "write ONNX, or safetensors under our names: a name that ends with .onnx or "
      ".safetensors");
}

}  // namespace

std::optional<Format> format_of(const std::filesystem::path& path) {
  const std::string ending = path.extension();
  if (ending == ".pth" || ending == ".pt") return Format::torch;
  if (ending == ".safetensors" || ending == ".onnx") return format_of_name(ending.substr(1));
  return std::nullopt;
}

std::optional<Format> format_of_name(const std::string& name) {
  if (name == "torch") return Format::torch;
  if (name == "safetensors") return Format::safetensors;
  if (name == "onnx") return Format::onnx;
  return std::nullopt;
}

std::string describe(Format format) {
  switch (format) {
    case Format::torch:
      return "a PyTorch state_dict";
    case Format::safetensors:
      return "safetensors";
    case Format::onnx:
      break;
  }
  return fmt::format("ONNX, opset {}", kOnnxOpset);
}

std::string torchvision_name(const std::string& model) {
  if (model == "alexnet-tv") return "alexnet";
  return model == "resnet50" || model == "vgg16" ? model : "";
}

BytePieces export_file(const Model& model, const WeightFile& weights, Format format,
                       const std::string& path) {
  if (format == Format::torch) {
    check_torchvision(model, path);
    check_size(weights, kMostTorchBytes, format, path);
    return torch_file(tensors_of(model, weights));
  }
  Metadata metadata = metadata_of(model, weights);
  if (format == Format::safetensors) {
    metadata["format"] = "pt";
    return safetensors_file(tensors_of(model, weights), metadata);
  }
  check_size(weights, kMostOnnxBytes, format, path);
  return onnx_file(model, weights, metadata);
}

}  // namespace ft::exporting
