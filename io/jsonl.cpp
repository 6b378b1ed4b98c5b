// JSON text by hand for the frame and the numbers, by nlohmann/json for the strings.
#include "io/jsonl.h"

#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "tensor/error.h"

namespace ft {
namespace {

bool is_utf8(std::string_view text) {
  try {
    nlohmann::json(std::string(text)).dump();
    return true;
  } catch (const nlohmann::json::type_error&) {
    return false;
  }
}

template <typename Float>
std::string number(Float value) {
  return std::isfinite(value) ? fmt::format("{}", value) : "null";
}

}  // namespace

std::string json_string(std::string_view text) {
  // Escaping of the whole text, control characters included, only where the bytes leave no choice.
  const std::string valid = is_utf8(text) ? std::string(text) : escape(text);
  return nlohmann::json(valid).dump(-1, ' ', true);
}

JsonLines& JsonLines::raw(std::string_view key, std::string_view value) {
  text_ += open_ ? ", " : "{";
  open_ = true;
  text_ += fmt::format("{}: {}", json_string(key), value);
  return *this;
}

JsonLines& JsonLines::field(std::string_view key, std::string_view text) {
  return raw(key, json_string(text));
}

JsonLines& JsonLines::field(std::string_view key, double value) { return raw(key, number(value)); }

JsonLines& JsonLines::field(std::string_view key, float value) { return raw(key, number(value)); }

void JsonLines::end_line() {
  text_ += open_ ? "}\n" : "{}\n";
  open_ = false;
}

}  // namespace ft
