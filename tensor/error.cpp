// Error, escaping and the check of programming errors.
#include "tensor/error.h"

#include <fmt/format.h>

#include <cstdint>

namespace ft {
namespace {

// Length of the valid UTF-8 sequence that starts at text[i], 0 if there is none; *code is its value.
size_t utf8_length(std::string_view text, size_t i, uint32_t* code) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t b = byte(i);
  const size_t n = b < 0x80 ? 1 : (b >> 5) == 6 ? 2 : (b >> 4) == 14 ? 3 : (b >> 3) == 30 ? 4 : 0;
  if (n == 0 || i + n > text.size()) return 0;
  uint32_t c = n == 1 ? b : b & (0xFFu >> (n + 1));
  for (size_t k = 1; k < n; ++k) {
    if ((byte(i + k) >> 6) != 2) return 0;
    c = c << 6 | (byte(i + k) & 0x3F);
  }
  static constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[n] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) return 0;
  *code = c;
  return n;
}

bool is_unsafe(uint32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x061C || (c >= 0x200B && c <= 0x200F) ||
         (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) || c == 0xFEFF;
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size();) {
    uint32_t code = 0;
    const size_t n = utf8_length(text, i, &code);
    if (n == 0) {
      out += fmt::format("\\x{:02x}", static_cast<uint8_t>(text[i++]));
      continue;
    }
    if (is_unsafe(code)) {
      out += code < 0x80 ? fmt::format("\\x{:02x}", code) : fmt::format("\\u{{{:04x}}}", code);
    } else {
      out.append(text.substr(i, n));
    }
    i += n;
  }
  return out;
}

Error::Error(int number, std::string where, std::string seen, std::string remedy)
    : std::runtime_error(escape(fmt::format("{}: {}; {}", where, seen, remedy))),
      number_(number),
      where_(std::move(where)),
      seen_(std::move(seen)),
      remedy_(std::move(remedy)) {}

std::string Error::line() const { return fmt::format("ftrun: error E{}: {}", number_, what()); }

void check_failed(const char* file, int line, const char* condition, const std::string& message) {
  throw Error(1001, fmt::format("{}:{}", file, line),
              fmt::format("{} (the check \"{}\" failed)", message, condition),
              "this is a bug in ftrun: please report it with the command that led here");
}

}  // namespace ft
