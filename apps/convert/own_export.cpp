// Reading the metadata that apps/export/export_file writes.
#include "apps/convert/own_export.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "tensor/error.h"

namespace ft::convert {
namespace {

using Json = nlohmann::json;

std::string text_of(const SourceFile& source, const char* key) {
  const auto found = source.metadata.find(key);
  return found == source.metadata.end() ? std::string() : found->second;
}

[[noreturn]] void refuse(const std::string& path, const char* key, const std::string& seen) {
  throw Error(2387, path, fmt::format("its metadata {} is impossible: {}", key, seen),
              "export the network again, or remove the metadata");
}

InputRecipe recipe_of(const Json& json) {
  InputRecipe r;
  r.height = json.at("height").get<int>();
  r.width = json.at("width").get<int>();
  r.short_side = json.at("short_side").get<int>();
  r.scale = json.at("scale").get<double>();
  r.mean = json.at("mean").get<std::array<double, 3>>();
  r.std = json.at("std").get<std::array<double, 3>>();
  const auto word = json.at("resize").get<std::string>(),
             order = json.at("colour_order").get<std::string>();
  for (ResizeMode mode : {ResizeMode::crop, ResizeMode::letterbox})
    if (word == name_of(mode)) r.resize = mode;
  r.colour_order = order == "bgr" ? ColourOrder::bgr : ColourOrder::rgb;
  if (word != name_of(r.resize) || (order != "bgr" && order != "rgb")) r.height = 0;
  return r;
}

}  // namespace

std::string own_model(const SourceFile& source) { return text_of(source, "ftrun.model"); }

void refuse_own_model(const SourceFile& source, const std::string& path) {
  refuse(path, "ftrun.model", fmt::format("these are not the tensors of {}", own_model(source)));
}

void read_own_export(const SourceFile& source, const std::string& path, Conversion& out) {
  if (own_model(source) != out.model) return;
  const char* key = "ftrun.input_recipe";
  try {
    if (const std::string text = text_of(source, key); !text.empty()) {
      const InputRecipe recipe = recipe_of(Json::parse(text));
      if (const std::string fault = recipe_fault(recipe); !fault.empty()) refuse(path, key, fault);
      out.recipe = recipe;
    }
    key = "ftrun.classes";
    if (const std::string text = text_of(source, key); !text.empty())
      out.class_names = Json::parse(text).get<std::vector<std::string>>();
  } catch (const Json::exception&) {
    refuse(path, key, "it is not what ftrun writes");
  }
  for (const std::string& name :
       out.class_names)  // a class is a folder, whose name has 255 bytes at most
    if (name.size() > 255 || name.find('\0') != std::string::npos)
      refuse(path, key, "a name is too long or holds a zero byte");
  if (!out.class_names.empty() && static_cast<int64_t>(out.class_names.size()) != out.classes)
    refuse(path, key, fmt::format("{} names for {} classes", out.class_names.size(), out.classes));
}

}  // namespace ft::convert
