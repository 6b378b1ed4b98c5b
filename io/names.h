// Names that people typed: "did you mean", look-alikes, and lists and columns that fit a terminal.
// Names are bytes, usually UTF-8; bytes that are not UTF-8 count as one character each.
// Pure functions, safe from any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace ft {

// Single-character insertions, deletions, replacements and swaps of neighbours between two names.
size_t edit_distance(std::string_view a, std::string_view b);

// What is left of a name when case, accents, spaces, - and _, combining marks and invisible
// characters are taken away, and Hangul syllables are taken apart. Two different names with the
// same skeleton look alike ("Cafe" and "café", or one name in two Unicode normal forms).
std::string skeleton(std::string_view name);

// The candidate that `name` was probably meant to be, or "" if none is close: the same skeleton, or
// else at most 1 edit per 3 bytes (at least 1, and not all of the name). Ties: the first.
std::string closest_name(std::string_view name, std::span<const std::string> candidates);

// "a, b, c" or "a, b, … 17 more": at most `most` names, in the order given.
std::string list_names(std::span<const std::string> names, size_t most = 20);

// Columns a text takes on a terminal: wide East Asian characters 2, combining marks 0.
size_t display_width(std::string_view text);

// The text, escaped for a terminal (ft::escape), cut with "…" when wider than `width`, and filled
// with spaces to exactly `width` columns. width >= 1.
std::string fit_left(std::string_view text, size_t width);
std::string fit_right(std::string_view text, size_t width);

}  // namespace ft
