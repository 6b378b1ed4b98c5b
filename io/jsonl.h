// Writes JSON lines into a string: one object a line, fields in the order given. Bytes that are not
// UTF-8 are written as \xNN inside the text, everything outside of printable ASCII as \uNNNN, so
// that a line is one line for every reader. Numbers are the shortest that read back equal; what
// JSON has no number for (NaN, infinity, no value) is null. A JsonLines owns its text; not
// thread-safe.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>

namespace ft {

class JsonLines {
 public:
  JsonLines& field(std::string_view key, std::string_view text);
  JsonLines& field(std::string_view key, const char* text) {
    return field(key, std::string_view(text));
  }
  JsonLines& field(std::string_view key, double value);
  JsonLines& field(std::string_view key, float value);
  JsonLines& field(std::string_view key, bool value) { return raw(key, value ? "true" : "false"); }
  template <std::integral Int>
  JsonLines& field(std::string_view key, Int value) {
    return raw(key, std::to_string(value));
  }
  template <typename T>
  JsonLines& field(std::string_view key, const std::optional<T>& value) {
    return value ? field(key, *value) : raw(key, "null");
  }
  void end_line();

  const std::string& text() const { return text_; }

 private:
  JsonLines& raw(std::string_view key, std::string_view value);

  std::string text_;
  bool open_ = false;  // within an object
};

// A JSON string with its quotes, by the rules above.
std::string json_string(std::string_view text);

}  // namespace ft
