// Cells, quotes and formulas.
#include "io/csv.h"

#include <fmt/format.h>

#include "tensor/error.h"

namespace ft {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace

CsvWriter::CsvWriter(std::span<const std::string_view> columns) : columns_(columns.size()) {
  for (const std::string_view column : columns) cell(column);
  end_row();
}

CsvWriter& CsvWriter::raw(std::string_view cell) {
  FT_CHECK(cells_ < columns_, "a row has a cell for every column");
  if (cells_++ > 0) text_ += ',';
  text_ += cell;
  return *this;
}

CsvWriter& CsvWriter::cell(std::string_view text) {
  std::string safe = escape(text);
  const bool formula =
      !safe.empty() && std::string_view("=+-@'").find(safe[0]) != std::string::npos;
  if (formula) safe.insert(0, 1, '\'');
  const bool quote = formula || safe.find_first_of(",\"") != std::string::npos ||
                     (!safe.empty() && (safe.front() == ' ' || safe.back() == ' '));
  return raw(quote ? quoted(safe) : safe);
}

CsvWriter& CsvWriter::cell(double value) { return raw(fmt::format("{}", value)); }

CsvWriter& CsvWriter::cell(float value) { return raw(fmt::format("{}", value)); }

void CsvWriter::end_row() {
  FT_CHECK(cells_ == columns_, "a row has a cell for every column");
  text_ += '\n';
  cells_ = 0;
}

}  // namespace ft
