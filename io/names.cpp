// Edit distance, skeletons and terminal columns.
#include "io/names.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include <fmt/format.h>

#include "tensor/error.h"

namespace ft {
namespace {

// Base letters of U+00C0 … U+017F and U+1E00 … U+1EFF, after Unicode's compatibility decomposition;
// _ where there is no single one.
constexpr std::string_view kLatin1 =
    "aaaaaa_ceeeeiiii_nooooo__uuuuy__aaaaaa_ceeeeiiii_nooooo__uuuuy_y"
    "aaaaaaccccccccdd__eeeeeeeeeegggggggghh__iiiiiiiii___jjkk_llllll_"
    "___nnnnnn___oooooo__rrrrrrsssssssstttt__uuuuuuuuuuuuwwyyyzzzzzzs";
constexpr std::string_view kLatinAdditional =
    "aabbbbbbccddddddddddeeeeeeeeeeffgghhhhhhhhhhiiiikkkkkkllllllllmm"
    "mmmmnnnnnnnnoooooooopppprrrrrrrrssssssssssttttttttuuuuuuuuuuvvvv"
    "wwwwwwwwwwxxxxyyzzzzzzhtwy_s____aaaaaaaaaaaaaaaaaaaaaaaaeeeeeeee"
    "eeeeeeeeiiiioooooooooooooooooooooooouuuuuuuuuuuuuuyyyyyyyy______";

constexpr uint32_t kNotUtf8 = 0x80000000;  // plus the byte

// The code point that starts at text[*i], and moves *i behind it.
uint32_t next_code(std::string_view text, size_t* i) {
  const auto at = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t lead = at((*i)++);
  if (lead < 0x80) return lead;
  const size_t more = (lead >> 5) == 6 ? 1 : (lead >> 4) == 14 ? 2 : (lead >> 3) == 30 ? 3 : 0;
  if (more == 0 || *i + more > text.size()) return kNotUtf8 | lead;
  uint32_t code = lead & (0x3Fu >> more);
  for (size_t k = 0; k < more; ++k) {
    if ((at(*i + k) >> 6) != 2) return kNotUtf8 | lead;
    code = code << 6 | (at(*i + k) & 0x3Fu);
  }
  *i += more;
  return code;
}

bool in(uint32_t code, uint32_t first, uint32_t last) { return code >= first && code <= last; }

bool is_combining(uint32_t c) {
  return in(c, 0x300, 0x36F) || in(c, 0x1AB0, 0x1AFF) || in(c, 0x1DC0, 0x1DFF) ||
         in(c, 0x20D0, 0x20FF) || in(c, 0x3099, 0x309A) || in(c, 0xFE00, 0xFE0F) ||
         in(c, 0xFE20, 0xFE2F);
}

bool is_invisible(uint32_t c) {
  return c <= 0x20 || c == '-' || c == '_' || in(c, 0x7F, 0xA0) || c == 0xAD || c == 0x61C ||
         in(c, 0x2000, 0x200F) || in(c, 0x2028, 0x202F) || in(c, 0x205F, 0x206F) || c == 0x3000 ||
         c == 0xFEFF;
}

bool is_wide(uint32_t c) {
  return in(c, 0x1100, 0x115F) || in(c, 0x2E80, 0xA4CF) || in(c, 0xAC00, 0xD7A3) ||
         in(c, 0xF900, 0xFAFF) || in(c, 0xFE30, 0xFE6F) || in(c, 0xFF00, 0xFF60) ||
         in(c, 0xFFE0, 0xFFE6) || in(c, 0x1F300, 0x1F64F) || in(c, 0x1F900, 0x1F9FF) ||
         in(c, 0x20000, 0x3FFFD);
}

size_t code_width(uint32_t c) { return is_combining(c) ? 0 : is_wide(c) ? 2 : 1; }

void append_code(uint32_t c, std::string* out) { *out += fmt::format("{:x}.", c); }

// Unicode 15, section 3.12: a Hangul syllable is its leading consonant, vowel and final consonant.
void append_hangul(uint32_t c, std::string* out) {
  const uint32_t s = c - 0xAC00;
  append_code(0x1100 + s / 588, out);
  append_code(0x1161 + s % 588 / 28, out);
  if (s % 28 != 0) append_code(0x11A7 + s % 28, out);
}

// `text` cut to at most `width` columns, with "…" where something was cut.
std::string cut(const std::string& text, size_t width) {
  if (display_width(text) <= width) return text;
  size_t columns = 0, end = 0;
  for (size_t i = 0; i < text.size(); end = i) {
    columns += code_width(next_code(text, &i));
    if (columns > width - 1) break;
  }
  return text.substr(0, end) + "…";
}

}  // namespace

size_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the table of distances between prefixes (optimal string alignment).
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string skeleton(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size();) {
    uint32_t c = next_code(name, &i);
    if (is_combining(c) || is_invisible(c)) continue;
    if (in(c, 'A', 'Z')) c += 'a' - 'A';
    if (in(c, 0xFF21, 0xFF3A)) c -= 0xFF21 - 'a';  // full-width capitals and small letters
    if (in(c, 0xFF41, 0xFF5A)) c -= 0xFF41 - 'a';
    if (in(c, 0xC0, 0x17F) && kLatin1[c - 0xC0] != '_') c = static_cast<uint8_t>(kLatin1[c - 0xC0]);
    if (in(c, 0x1E00, 0x1EFF) && kLatinAdditional[c - 0x1E00] != '_')
      c = static_cast<uint8_t>(kLatinAdditional[c - 0x1E00]);
    if (in(c, 0xAC00, 0xD7A3)) {
      append_hangul(c, &out);
    } else {
      append_code(c, &out);
    }
  }
  return out;
}

std::string closest_name(std::string_view name, std::span<const std::string> candidates) {
  const std::string bones = skeleton(name);
  for (const std::string& candidate : candidates)
    if (skeleton(candidate) == bones) return candidate;
  const size_t limit = std::max<size_t>(1, name.size() / 3);
  size_t best = limit + 1;
  std::string found;
  for (const std::string& candidate : candidates) {
    const size_t longest = std::max(name.size(), candidate.size());
    if (longest - std::min(name.size(), candidate.size()) >= best) continue;
    const size_t distance = edit_distance(name, candidate);
    if (distance >= best || distance >= longest) continue;
    best = distance;
    found = candidate;
  }
  return found;
}

std::string list_names(std::span<const std::string> names, size_t most) {
  std::string out;
  for (size_t i = 0; i < std::min(names.size(), most); ++i) {
    if (i > 0) out += ", ";
    out += names[i];
  }
  if (names.size() > most) out += fmt::format(", … {} more", names.size() - most);
  return out;
}

size_t display_width(std::string_view text) {
  size_t columns = 0;
  for (size_t i = 0; i < text.size();) columns += code_width(next_code(text, &i));
  return columns;
}

std::string fit_left(std::string_view text, size_t width) {
  std::string out = cut(escape(text), width);
  return out + std::string(width - display_width(out), ' ');
}

std::string fit_right(std::string_view text, size_t width) {
  const std::string out = cut(escape(text), width);
  return std::string(width - display_width(out), ' ') + out;
}

}  // namespace ft
