// Reading descriptions of GPUs.
#include "apps/plan/gpu.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "apps/plan/gpu_texts.h"
#include "io/file_bytes.h"
#include "io/names.h"
#include "tensor/error.h"

namespace ft::plan {
namespace {

using Json = nlohmann::json;

constexpr const char* kRemedy =
    "docs/plan.md says what a description holds; h100 is one to start from";

[[noreturn]] void refuse(const std::string& where, const std::string& seen) {
  throw Error(2051, where, seen, kRemedy);
}

Json parse(const std::string& text, const std::string& where) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    const size_t at = std::min(e.byte == 0 ? 0 : e.byte - 1, text.size());
    const auto line =
        1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n');
    throw Error(2050, where,
                fmt::format("it is not JSON: line {}, byte {} of the file", line, at + 1),
                "correct it there");
  }
}

const Json& at(const Json& json, const char* field, const std::string& where) {
  if (!json.contains(field)) refuse(where, fmt::format("the field \"{}\" is missing", field));
  return json[field];
}

double positive(const Json& json, const char* field, const std::string& where) {
  const Json& value = at(json, field, where);
  if (!value.is_number() || !(value.get<double>() > 0) || value.get<double>() > 1e12)
    refuse(where, fmt::format("\"{}\" is not a positive number", field));
  return value.get<double>();
}

// cuDNN's own reader names no field, so that all it wants is looked at here: what a stored description has, and of the
// same kind.
void check_fields(const Json& json, const std::string& where) {
  static const Json model = Json::parse(gpu_texts().front().second);
  for (const auto& [field, wanted] : model.items()) {
    if (field == "peaks") continue;
    const Json& value = at(json, field.c_str(), where);
    if (wanted.is_string() ? !value.is_string()
        : wanted.is_array()
            ? !value.is_array() || value.size() != wanted.size() ||
                  !std::ranges::all_of(value, [](const Json& v) { return v.is_number_integer(); })
            : !value.is_number_integer())
      refuse(where,
             fmt::format("\"{}\" is not {}", field,
                         wanted.is_string()  ? "a text"
                         : wanted.is_array() ? "a list of three whole numbers"
                                             : "a whole number (0 and 1, not true and false)"));
  }
}

GpuPeaks parse_peaks(const Json& json, const std::string& where) {
  if (!json.is_object()) refuse(where, "\"peaks\" is not an object");
  GpuPeaks peaks;
  peaks.f32 = 1e9 * positive(json, "f32_gflop_per_s", where);
  peaks.tf32 = 1e9 * positive(json, "tf32_gflop_per_s", where);
  peaks.bf16 = 1e9 * positive(json, "bf16_gflop_per_s", where);
  peaks.memory = 1e9 * positive(json, "gb_per_s", where);
  const Json& source = at(json, "source", where);
  if (!source.is_string()) refuse(where, "\"source\" is not a text");
  peaks.source = source;
  return peaks;
}

std::string text_of_file(const std::string& path) {
  FileReadOptions options;
  options.first_error = 2040;
  options.what = "description of a GPU";
  options.max_bytes = 1 << 20;
  return std::string(read_file_bytes(path, options).text());
}

}  // namespace

std::vector<std::string> gpu_names() {
  std::vector<std::string> names;
  for (const auto& [name, text] : gpu_texts()) names.emplace_back(name);
  return names;
}

Gpu parse_gpu(const std::string& text, const std::string& where) {
  const Json json = parse(text, where);
  if (!json.is_object()) refuse(where, "it is not a JSON object");
  check_fields(json, where);
  Gpu gpu;
  gpu.name = json["deviceName"];
  gpu.json = text;
  const auto version = json["deviceVer"].get<int64_t>(),
             memory = json["totalGlobalMem"].get<int64_t>();
  if (version < 100 || version > 10000)
    refuse(where, fmt::format("\"deviceVer\" {} is not 100 * major + 10 * minor", version));
  if (memory < 1) refuse(where, "\"totalGlobalMem\" is not a number of bytes");
  gpu.architecture = static_cast<int>(version / 10);
  gpu.memory_bytes = static_cast<size_t>(memory);
  if (json.contains("peaks")) gpu.peaks = parse_peaks(json["peaks"], where);
  return gpu;
}

Gpu find_gpu(const std::string& name) {
  for (const auto& [known, text] : gpu_texts())
    if (name == known) return parse_gpu(std::string(text), name);
  if (name.ends_with(".json") || name.find('/') != std::string::npos)
    return parse_gpu(text_of_file(name), name);
  const std::vector<std::string> names = gpu_names();
  const std::string near = closest_name(name, names);
  throw Error(
      2029, "--gpu", fmt::format("there is no description of a GPU \"{}\"", name),
      fmt::format("{}known are {}; or give a file, FILE.json",
                  near.empty() ? "" : "did you mean " + near + "? ", fmt::join(names, ", ")));
}

}  // namespace ft::plan
