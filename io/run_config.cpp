// Writing and reading run.toml. The only file that includes toml++.
#include "io/run_config.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cmath>

#include "io/atomic_file.h"
#include "io/file_bytes.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kMostBytes = 1u << 20;
constexpr int kFirstReadError = 2080;

// ---- writing

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (c == '\n')
      out += "\\n";
    else if (c == '\t')
      out += "\\t";
    else if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\u{:04X}", byte);
    else
      out += c;
  }
  return out + '"';
}

// escape() writes a byte as \xNN only where it is a control character or not UTF-8.
bool is_utf8(std::string text) {
  for (char& c : text)
    if (static_cast<uint8_t>(c) < 0x80) c = 'a';
  return escape(text).find("\\x") == std::string::npos;
}

// TOML allows only UTF-8; other bytes (in file names) are written as escape() shows them.
std::string text_literal(const std::string& text) {
  return quote(is_utf8(text) ? text : escape(text));
}

std::string literal(bool value) { return value ? "true" : "false"; }
std::string literal(int64_t value) { return fmt::format("{}", value); }
std::string literal(const std::string& value) { return text_literal(value); }

std::string literal(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

template <class T>
std::string literal(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) text += (text.size() > 1 ? ", " : "") + literal(value);
  return text + "]";
}

std::string key_literal(std::string_view key) {
  const bool bare = !key.empty() && std::ranges::all_of(key, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  });
  return bare ? std::string(key) : text_literal(std::string(key));
}

// ---- reading

struct Source {
  std::string name;

  [[noreturn]] void fail(int number, const toml::source_region& at, const std::string& seen,
                         const std::string& remedy) const {
    throw Error(number, fmt::format("{}:{}:{}", name, at.begin.line, at.begin.column), seen,
                remedy);
  }
};

template <class T>
std::vector<T> list_of(const toml::array& array) {
  std::vector<T> values;
  for (const toml::node& node : array) values.push_back(**node.as<T>());
  return values;
}

ConfigValue list_value(const toml::array& array, const Source& source) {
  if (array.empty() || array.is_homogeneous<std::string>()) return list_of<std::string>(array);
  if (array.is_homogeneous<int64_t>()) return list_of<int64_t>(array);
  if (array.is_homogeneous<double>()) return list_of<double>(array);
  source.fail(2091, array.source(), "a list may hold whole numbers, or numbers, or texts alone",
              "write all items in one form, for example 1.0 instead of 1");
}

ConfigValue value_of(const toml::node& node, const Source& source) {
  if (const auto* v = node.as_boolean()) return v->get();
  if (const auto* v = node.as_integer()) return v->get();
  if (const auto* v = node.as_floating_point()) return v->get();
  if (const auto* v = node.as_string()) return v->get();
  if (const auto* v = node.as_array()) return list_value(*v, source);
  source.fail(2091, node.source(), "dates and nested tables are not read here",
              "write key = value lines in plain [section]s");
}

bool before(const toml::source_position& a, const toml::source_position& b) {
  return a.line != b.line ? a.line < b.line : a.column < b.column;
}

struct Item {
  std::string key;
  const toml::node* node;
  toml::source_region at;
};

// toml++ sorts by name; the order of the file is in the positions of the keys.
std::vector<Item> in_file_order(const toml::table& table) {
  std::vector<Item> items;
  for (const auto& [key, node] : table)
    items.push_back({std::string(key.str()), &node, key.source()});
  std::ranges::sort(items,
                    [](const Item& a, const Item& b) { return before(a.at.begin, b.at.begin); });
  return items;
}

void add_entries(const std::string& section, const std::vector<Item>& items, const Source& source,
                 std::vector<ConfigSection>* out) {
  ConfigSection added{section, {}};
  for (const Item& item : items)
    added.entries.push_back(
        {item.key, value_of(*item.node, source), static_cast<int>(item.at.begin.line)});
  out->push_back(std::move(added));
}

toml::table parse_toml(std::string_view text, const Source& source) {
  try {
    return toml::parse(text, source.name);
  } catch (const toml::parse_error& error) {
    source.fail(2090, error.source(),
                fmt::format("this is not valid TOML [{}]", error.description()),
                "correct the file at this line");
  }
}

}  // namespace

void RunConfig::set(std::string_view section, std::string_view key, ConfigValue value) {
  auto in = std::ranges::find(sections_, section, &ConfigSection::name);
  if (in == sections_.end()) {
    // Entries without a section can only stand first.
    in = sections_.insert(section.empty() ? sections_.begin() : sections_.end(),
                          {std::string(section), {}});
  }
  const auto at = std::ranges::find(in->entries, key, &ConfigEntry::key);
  if (at != in->entries.end())
    at->value = std::move(value);
  else
    in->entries.push_back({std::string(key), std::move(value)});
}

const ConfigValue* RunConfig::find(std::string_view section, std::string_view key) const {
  const auto in = std::ranges::find(sections_, section, &ConfigSection::name);
  if (in == sections_.end()) return nullptr;
  const auto at = std::ranges::find(in->entries, key, &ConfigEntry::key);
  return at == in->entries.end() ? nullptr : &at->value;
}

std::string RunConfig::to_toml() const {
  std::string text;
  for (const ConfigSection& section : sections_) {
    if (!section.name.empty())
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", key_literal(section.name));
    for (const ConfigEntry& entry : section.entries)
      text += fmt::format("{} = {}\n", key_literal(entry.key),
                          std::visit([](const auto& v) { return literal(v); }, entry.value));
  }
  return text;
}

RunConfig parse_run_config(std::string_view text, const std::string& name) {
  if (text.size() > kMostBytes)
    throw Error(
        kFirstReadError + 6, name,
        fmt::format("the settings have {} bytes, at most {} are read", text.size(), kMostBytes),
        "check that this is the right file");
  const Source source{name};
  const toml::table root = parse_toml(text, source);
  std::vector<Item> loose, tables;
  for (Item& item : in_file_order(root))
    (item.node->is_table() ? tables : loose).push_back(std::move(item));
  RunConfig config;
  if (!loose.empty()) add_entries("", loose, source, &config.sections_);
  for (const Item& item : tables)
    add_entries(item.key, in_file_order(*item.node->as_table()), source, &config.sections_);
  return config;
}

RunConfig load_run_config(const std::filesystem::path& path) {
  FileReadOptions options;
  options.first_error = kFirstReadError;
  options.what = "settings file";
  options.max_bytes = kMostBytes;
  return parse_run_config(read_file_bytes(path, options).text(), path.string());
}

void save_run_config(const std::filesystem::path& path, const RunConfig& config) {
  write_atomically(path, config.to_toml());
}

}  // namespace ft
