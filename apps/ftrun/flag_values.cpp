// Checks of values, and CLI11's faults in our words.
#include "apps/ftrun/flag_values.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "apps/ftrun/class_weights.h"
#include "apps/ftrun/clip.h"
#include "models/patterns.h"

namespace ft::app {
namespace {

std::string joined(const std::vector<std::string>& words) {
  std::string list;
  for (const std::string& w : words) list += (list.empty() ? "" : ", ") + w;
  return list;
}

// "pattern=w" or "pattern=w,b"; false if it is neither.
bool parse_factors(const std::string& text, FactorList& out) {
  const auto number = [](const std::string& digits, double& value) {
    return parse_number(digits, value) && value >= 0 && value <= 1e6;
  };
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) return false;
  const size_t comma = text.find(',', equals);
  std::pair<double, double> factors;
  const size_t length = comma == std::string::npos ? comma : comma - equals - 1;
  if (!number(text.substr(equals + 1, length), factors.first)) return false;
  factors.second = factors.first;
  if (comma != std::string::npos && !number(text.substr(comma + 1), factors.second)) return false;
  out.push_back({text.substr(0, equals), factors});
  return true;
}

const CLI::App& command_of(const CLI::App& root) {
  const auto used = root.get_subcommands();
  return used.empty() ? root : *used.front();
}

std::string help_of(const CLI::App& command) {
  return command.get_parent() ? "ftrun " + command.get_name() + " --help" : "ftrun --help";
}

// A flag in front of the command, where only --help and --version stand. It may be one of the command that follows,
// or, where none does, of any command.
Error misplaced(const CLI::App& root, const std::string& seen) {
  const std::string flag = seen.substr(0, seen.find('='));
  std::vector<const CLI::App*> commands = root.get_subcommands(nullptr);
  if (&command_of(root) != &root) commands = {&command_of(root)};
  std::vector<std::string> names, owners;
  for (const CLI::App* sub : commands)
    for (const CLI::Option* option : sub->get_options())
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  const std::string near = nearest_name(flag, names);
  for (const CLI::App* sub : commands)
    if (!near.empty() && sub->get_option_no_throw(near)) owners.push_back(sub->get_name());
  if (owners.empty())
    return {2001, seen, "there is no such command or flag", "ftrun --help lists them"};
  return {2001, seen, "stands in front of the command",
          fmt::format("write {} behind one that has it: {}", near, joined(owners))};
}

// The first argument that no one knows, with the nearest name that is known.
Error unknown(const CLI::App& root) {
  const CLI::App& command = command_of(root);
  std::vector<std::string> extras = command.remaining(true);
  if (extras.empty()) extras = root.remaining(true);
  const auto flag =
      std::ranges::find_if(extras, [](const std::string& word) { return word.starts_with("-"); });
  const std::string seen = flag != extras.end() ? *flag : extras.empty() ? "?" : extras.front();
  std::vector<std::string> names;
  for (const CLI::Option* option : command.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  for (const CLI::App* sub : command.get_subcommands(nullptr)) names.push_back(sub->get_name());
  const std::string near = nearest_name(seen.substr(0, seen.find('=')), names);
  std::string what = "there is no such command or flag";
  if (command.get_parent())
    what = seen.starts_with("-") ? "there is no such flag" : "is one argument too many";
  return Error(
      2001, seen, what,
      (near.empty() ? "" : "did you mean " + near + "? ") + help_of(command) + " lists them");
}

// The option that a message of CLI11 is about: the longest name that stands in it as a word.
const CLI::Option* option_in(const CLI::App& command, const std::string& text) {
  const CLI::Option* best = nullptr;
  size_t length = 0;
  for (const CLI::Option* option : command.get_options()) {
    const std::string name = option->get_name();
    // "--flip", or "flip was given ..." at the beginning.
    const bool named = text.find(name) != std::string::npos ||
                       text.starts_with(name.substr(name.find_first_not_of('-')) + " ");
    if (!named || name.size() <= length) continue;
    best = option;
    length = name.size();
  }
  return best;
}

Error missing(const CLI::App& command, const std::string& text) {
  const CLI::Option* option = option_in(command, text);
  const std::string remedy = help_of(command) + " shows what is needed";
  if (option == nullptr) return Error(2002, "command line", text, remedy);
  if (!option->get_positional()) return Error(2002, option->get_name(), "is required", remedy);
  return Error(2002, command.get_name(),
               "needs " + option->get_description() + ", and nothing is given", remedy);
}

Error mismatch(const CLI::App& command, const std::string& text) {
  const CLI::Option* option = option_in(command, text);
  const std::string remedy = help_of(command) + " shows what is allowed";
  if (option == nullptr) return Error(2003, "command line", text, remedy);
  if (option->get_expected_max() == 0)
    return Error(2003, option->get_name(), "is a switch and takes no value", remedy);
  const size_t given = option->results().size();
  if (given > 1)
    return Error(2003, option->get_name(), fmt::format("is given {} times", given), "give it once");
  return Error(2003, option->get_name(), "has no value", remedy);
}

}  // namespace

CLI::Validator rate_value() {
  return between(std::numeric_limits<double>::min(), 1e6, "a number above 0 and up to 1000000");
}
CLI::Validator share_value() { return between(0.0, 0.999999, "a number from 0 to below 1"); }
CLI::Validator factor_value() { return between(0.0, 1e6, "a number from 0 to 1000000"); }
CLI::Validator batch_value() {
  return between(int64_t{1}, int64_t{65536}, "a whole number from 1 to 65536");
}
CLI::Validator count_value() {
  return between(int64_t{1}, int64_t{1000000}, "a whole number from 1 to 1000000");
}
CLI::Validator size_value() { return between(1, 4096, "a whole number from 1 to 4096"); }
CLI::Validator seed_value() {
  return between(int64_t{0}, std::numeric_limits<int64_t>::max(),
                 "a whole number from 0 to 9223372036854775807");
}

CLI::Validator hash_value() {
  return {[](std::string& text) {
            const bool hex = text.find_first_not_of("0123456789abcdef") == std::string::npos;
            return hex && text.size() >= 8 && text.size() <= 64
                       ? std::string{}
                       : "\"" + text + "\" is not 8 to 64 hexadecimal digits";
          },
          "", "hash"};
}

CLI::Validator one_of(const std::vector<std::string>& allowed) {
  return {[=](std::string& text) {
            if (std::ranges::find(allowed, text) != allowed.end()) return std::string{};
            return fmt::format("\"{}\" is not {}{}", text, allowed.size() > 1 ? "one of " : "",
                               joined(allowed));
          },
          "", "choice"};
}

CLI::Validator picture_list() {
  return {[](std::string& text) {
            static const std::vector<std::string> kWords{"train-set", "test-set", "confusion",
                                                         "gradcam", "none"};
            for (size_t begin = 0; begin <= text.size();) {
              const size_t end = std::min(text.find(',', begin), text.size());
              const std::string word = text.substr(begin, end - begin);
              if (std::ranges::find(kWords, word) == kWords.end())
                return fmt::format("\"{}\" is not one of {} (comma-separated)", word,
                                   joined(kWords));
              if (word == "none" && word != text) return std::string("none stands alone");
              begin = end + 1;
            }
            return std::string{};
          },
          "", "pictures"};
}

CLI::Validator clip_value() {
  return {[](std::string& text) {
            ClipSpec spec;
            return parse_clip(text, spec)
                       ? std::string{}
                       : "\"" + text +
                             "\" is not none, value=X, l2norm=X or global-l2norm=X with X above 0";
          },
          "", "clip"};
}

CLI::Validator class_weights_value() {
  return {[](std::string& text) { return check_class_weights(text); }, "", "weights"};
}

CLI::Validator epoch_or_steps() {
  return {[](std::string& text) {
            int64_t steps = 0;
            const bool good = text == "epoch" || (parse_number(text, steps) && steps >= 1);
            return good ? std::string{}
                        : "\"" + text + "\" is neither epoch nor a whole number from 1 on";
          },
          "", "interval"};
}

void add_factors(CLI::App* app, const std::string& flag, FactorList& out, const std::string& help) {
  app->add_option_function<std::vector<std::string>>(
         flag,
         [&out, flag](const std::vector<std::string>& items) {
           for (const std::string& item : items)
             if (!parse_factors(item, out))
               throw CLI::ValidationError(
                   flag, fmt::format("\"{}\" is not PATTERN=WEIGHT or PATTERN=WEIGHT,BIAS with "
                                     "factors from 0 to 1000000",
                                     item));
         },
         help)
      ->type_name("PATTERN=W[,B]");
}

Error told(const CLI::ParseError& fault, const CLI::App& root) {
  const CLI::App& command = command_of(root);
  const std::string text = fault.what();
  const std::vector<std::string> in_front = root.remaining(false);
  if (!in_front.empty() && in_front.front().starts_with("-"))
    return misplaced(root, in_front.front());
  // A mistyped flag explains why another one is missing, not the other way round.
  const std::vector<std::string> behind = command.remaining(true);
  const bool flag_unknown =
      std::ranges::any_of(behind, [](const std::string& word) { return word.starts_with("-"); });
  if (flag_unknown || dynamic_cast<const CLI::ExtrasError*>(&fault)) return unknown(root);
  if (dynamic_cast<const CLI::RequiredError*>(&fault)) return missing(command, text);
  const size_t colon = text.find(": ");
  if (!dynamic_cast<const CLI::ValidationError*>(&fault) || colon == std::string::npos)
    return mismatch(command, text);
  return Error(2003, text.substr(0, colon), text.substr(colon + 2),
               help_of(command) + " shows what is allowed");
}

void refuse_flags_as_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    if (option->get_expected_max() == 0) continue;
    for (const std::string& value : option->results())
      if (value.starts_with("--"))
        throw Error(2003, option->get_name(),
                    fmt::format("has no value: \"{}\" looks like a flag", value),
                    "give a value; ./ in front makes a file name of it");
  }
}

}  // namespace ft::app
