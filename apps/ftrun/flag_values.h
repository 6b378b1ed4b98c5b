// What a flag's value may be, and what is said of one that may not. Every option of cli.cpp has one of these
// checks, so that no text of CLI11 reaches a user. Stateless.
#pragma once

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdint>
#include <string>
#include <vector>

#include "apps/ftrun/options.h"
#include "tensor/error.h"

namespace ft::app {

// The whole of `text` as a decimal number, the same in every locale; false if it is none or out of T's range. A whole
// number has no leading zeros: CLI11 would read them as octal.
template <class T>
bool parse_number(const std::string& text, T& value) {
  const char* end = text.data() + text.size();
  const auto [stop, fault] = std::from_chars(text.data(), end, value);
  const size_t digits = text.find_first_not_of('-');
  const bool padded = std::is_integral_v<T> && text.size() > digits + 1 && text[digits] == '0';
  return fault == std::errc{} && stop == end && !padded;
}

// A number of type T from `low` to `high`; `what` completes "is not ...".
template <class T>
CLI::Validator between(T low, T high, const std::string& what) {
  return {[=](std::string& text) {
            T value{};
            if (!parse_number(text, value) || !(value >= low && value <= high))
              return "\"" + text + "\" is not " + what;
            return std::string{};
          },
          "", "range"};
}

CLI::Validator rate_value();    // above 0, to 1e6
CLI::Validator share_value();   // 0 to below 1
CLI::Validator factor_value();  // 0 to 1e6
CLI::Validator batch_value();   // 1 to 65536
CLI::Validator count_value();   // 1 to 1000000
CLI::Validator size_value();    // 1 to 4096
CLI::Validator seed_value();    // 0 to 2^63 - 1, what run.toml can hold
CLI::Validator hash_value();    // 8 to 64 hexadecimal digits in lower case
CLI::Validator one_of(const std::vector<std::string>& allowed);
// Comma-separated names of pictures.
CLI::Validator picture_list();
CLI::Validator clip_value();           // apps/ftrun/clip.h
CLI::Validator class_weights_value();  // apps/ftrun/class_weights.h
// "epoch" or a number of steps.
CLI::Validator epoch_or_steps();

// A flag that may be given several times, each "PATTERN=W" or "PATTERN=W,B".
void add_factors(CLI::App* app, const std::string& flag, FactorList& out, const std::string& help);

// A ParseError of CLI11 in our words: Error 2001, 2002 or 2003 with flag or argument, what is wrong and the way out.
Error told(const CLI::ParseError& fault, const CLI::App& root);
// A word may have been taken for a value that is a flag: `--out --force`. Throws Error 2003.
void refuse_flags_as_values(const CLI::App& command);

}  // namespace ft::app
