// run.toml: all choices of a run, the versions it ran with and what came out, as ordered sections
// of key = value. Written so that it reads back equal, whatever the locale; read under strict
// rules. A plain value.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace ft {

using ConfigValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>,
                                 std::vector<double>, std::vector<std::string>>;

struct ConfigEntry {
  std::string key;
  ConfigValue value;
  int line = 0;  // where it was read; 0 if it was not
};

struct ConfigSection {
  std::string name;  // "" for the entries before the first [section]
  std::vector<ConfigEntry> entries;
};

class RunConfig {
 public:
  // Sets or replaces a value; new sections and keys go to the end.
  void set(std::string_view section, std::string_view key, ConfigValue value);

  // nullptr if there is none.
  const ConfigValue* find(std::string_view section, std::string_view key) const;

  // The value as T, an int64_t also as double; nothing if there is none or it is of another type.
  template <class T>
  std::optional<T> get(std::string_view section, std::string_view key) const {
    const ConfigValue* value = find(section, key);
    if (value == nullptr) return std::nullopt;
    if (const T* exact = std::get_if<T>(value)) return *exact;
    if constexpr (std::is_same_v<T, double>)
      if (const int64_t* whole = std::get_if<int64_t>(value)) return static_cast<double>(*whole);
    return std::nullopt;
  }

  const std::vector<ConfigSection>& sections() const { return sections_; }

  // TOML text, in order; floats in the shortest form that reads back to the same bits.
  std::string to_toml() const;

 private:
  friend RunConfig parse_run_config(std::string_view, const std::string&);
  std::vector<ConfigSection> sections_;
};

// Reads TOML: a byte order mark, CRLF, tabs and comments are accepted. `name` is for messages.
// Throws Error 2090 not valid TOML (duplicate keys, bad UTF-8, too deep; with line and column),
// 2091 a value or section that is not read here (dates, nested tables, mixed or nested lists),
// 2086 more than 1 MiB.
RunConfig parse_run_config(std::string_view text, const std::string& name);

// Throws also Error 2081-2087 of read_file_bytes().
RunConfig load_run_config(const std::filesystem::path& path);

// Through io/atomic_file. Throws Error 50xx.
void save_run_config(const std::filesystem::path& path, const RunConfig& config);

}  // namespace ft
