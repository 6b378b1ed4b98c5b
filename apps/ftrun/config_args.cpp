// Settings files as arguments.
#include "apps/ftrun/config_args.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/run_config.h"
#include "models/patterns.h"
#include "tensor/error.h"

namespace ft::app {
namespace {

constexpr const char* kRecords[] = {"recipe", "network", "versions", "result"};

// Whether the user typed this flag, as "--lr" or "--lr=…".
bool typed_flag(const std::vector<std::string>& typed, const std::string& flag) {
  return std::ranges::any_of(
      typed, [&](const std::string& a) { return a == flag || a.starts_with(flag + "="); });
}

std::string config_file(const std::vector<std::string>& typed) {
  for (size_t i = 0; i < typed.size(); ++i) {
    if (typed[i] == "--config" && i + 1 < typed.size() && !typed[i + 1].starts_with("--"))
      return typed[i + 1];
    if (typed[i].starts_with("--config=")) return typed[i].substr(9);
  }
  return {};
}

std::string text(bool v) { return v ? "true" : "false"; }
std::string text(const std::string& v) { return v; }
template <class T>
std::string text(const T& number) {
  return fmt::format("{}", number);
}

// One argument a value; a list gives the flag several times.
template <class T>
std::vector<std::string> values_of(const T& value) {
  return {text(value)};
}
template <class T>
std::vector<std::string> values_of(const std::vector<T>& list) {
  std::vector<std::string> out;
  for (const T& item : list) out.push_back(text(item));
  return out;
}

void add_entry(const ConfigEntry& entry, const std::string& place,
               const std::vector<std::string>& known, const std::vector<std::string>& switches,
               ConfigArgs& out) {
  const std::string flag = "--" + entry.key;
  if (std::ranges::find(known, flag) == known.end() || flag == "--config" || flag == "--help") {
    const std::string near = nearest_name(flag, known);
    throw Error(
        2092, place, "\"" + entry.key + "\" is not a setting",
        near.empty() ? "ftrun finetune --help lists them" : "did you mean " + near.substr(2) + "?");
  }
  out.places[flag] = place;
  if (std::ranges::find(switches, flag) == switches.end()) {
    const auto values = std::visit([](const auto& v) { return values_of(v); }, entry.value);
    for (const std::string& v : values) out.args.push_back(flag + "=" + v);
    return;
  }
  const bool* on = std::get_if<bool>(&entry.value);
  if (on == nullptr)
    throw Error(2092, place, "\"" + entry.key + "\" is a switch", "write true or false");
  if (*on) out.args.push_back(flag);
}

}  // namespace

ConfigArgs config_args(const std::vector<std::string>& typed, const std::vector<std::string>& known,
                       const std::vector<std::string>& switches) {
  ConfigArgs out;
  const std::string file = config_file(typed);
  if (file.empty()) return out;
  const RunConfig config = load_run_config(file);
  for (const ConfigSection& section : config.sections()) {
    if (std::ranges::find(kRecords, section.name) != std::end(kRecords)) continue;
    for (const ConfigEntry& entry : section.entries) {
      const std::string place = fmt::format("{}:{}", file, entry.line);
      if (!section.name.empty() && section.name != "options")
        throw Error(2092, place, "[" + section.name + "] is not a section of settings",
                    "put them in [options]");
      if (entry.key == "config" || !typed_flag(typed, "--" + entry.key))
        add_entry(entry, place, known, switches, out);
    }
  }
  return out;
}

}  // namespace ft::app
