// Writes comma-separated values (RFC 4180) into a string, for spreadsheets and for programs alike.
// Text is escaped (ft::escape), so that a row is one line of valid UTF-8 whatever a file is called.
// Text that a spreadsheet would take for a formula (it starts with = + - @) gets a ' in front, and
// so does text that starts with ', so that taking one ' away always gives the text back. Numbers
// are the shortest that read back equal, with a point whatever the locale. Lines end with \n. A
// CsvWriter owns its text; not thread-safe.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace ft {

class CsvWriter {
 public:
  // Writes the header. Every row must have as many cells.
  explicit CsvWriter(std::span<const std::string_view> columns);

  CsvWriter& cell(std::string_view text);
  CsvWriter& cell(const char* text) { return cell(std::string_view(text)); }
  CsvWriter& cell(double value);
  CsvWriter& cell(float value);
  template <std::integral Int>
  CsvWriter& cell(Int value) {
    return raw(std::to_string(value));
  }
  CsvWriter& empty() { return raw(""); }
  template <typename T>
  CsvWriter& cell(const std::optional<T>& value) {
    return value ? cell(*value) : empty();
  }
  void end_row();

  const std::string& text() const { return text_; }

 private:
  CsvWriter& raw(std::string_view cell);

  std::string text_;
  size_t columns_, cells_ = 0;
};

}  // namespace ft
