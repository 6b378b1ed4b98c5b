// docs/cli.md against the program: the same commands, the same flags, the same defaults.
#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

// Flag -> default, "" for none.
using Flags = std::map<std::string, std::string>;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string help_of(const std::vector<std::string>& args) {
  const ProcessResult r = run_process(FT_PROGRAM, args);
  EXPECT_EQ(r.status, 0) << r.err;
  return r.out;
}

std::vector<std::string> commands() {
  std::vector<std::string> names;
  bool inside = false;
  for (const std::string& line : lines_of(help_of({"--help"}))) {
    std::smatch m;
    if (std::regex_match(line, std::regex("subcommands:.*", std::regex::icase))) inside = true;
    if (inside && std::regex_search(line, m, std::regex("^  ([a-z][a-z-]*)")))
      names.push_back(m[1]);
  }
  return names;
}

// "  --momentum FLOAT=0.9   ..." of a help text; newer versions of CLI11 write "FLOAT [0.9]".
Flags flags_of_help(const std::string& help) {
  Flags flags;
  for (const std::string& line : lines_of(help)) {
    static const std::regex row(
        R"(^ +(?:-[a-z], *)?(--[a-z0-9-]+)(?: (?:TEXT|U?INT|FLOAT)(?:=| \[)([^ \]]+))?(?![^ ]).*)");
    std::smatch m;
    if (std::regex_match(line, m, row) && m[1] != "--help") flags[m[1]] = m[2];
  }
  return flags;
}

// The text of "## title" up to the next "## ".
std::map<std::string, std::string> sections_of(const std::string& document) {
  std::map<std::string, std::string> sections;
  std::string title;
  for (const std::string& line : lines_of(document)) {
    if (line.starts_with("## ")) title = line.substr(3);
    sections[title] += line + "\n";
  }
  return sections;
}

// "| `--momentum` | values | `0.9` | ..." of a section. A default that is words ("none", "required") gives "".
Flags flags_of_section(const std::string& section) {
  Flags flags;
  static const std::regex row(
      R"(\| `(--[a-z0-9-]+)` \|[^|]*\| (?:`([^`]*)`|none|required)? ?\| [^|]+ \|)");
  for (const std::string& line : lines_of(section)) {
    if (!line.starts_with("| `--")) continue;
    const std::string plain =
        std::regex_replace(line, std::regex(R"(\\\|)"), "/");  // a | inside of a cell
    std::smatch m;
    if (!std::regex_match(plain, m, row)) {
      ADD_FAILURE() << "not a row of flag, values, default and meaning: " << line;
      continue;
    }
    EXPECT_FALSE(flags.contains(m[1])) << m[1] << " has two rows";
    flags[m[1]] = m[2];
  }
  return flags;
}

// The flags of one command as the document has them: its own and those of the shared sections that it links.
Flags flags_of_document(const std::map<std::string, std::string>& sections,
                        const std::string& command) {
  const auto own = sections.find("ftrun " + command);
  if (own == sections.end()) {
    ADD_FAILURE() << "docs/cli.md has no section \"ftrun " << command << "\"";
    return {};
  }
  // What "What decides a value" repeats has no row of its own.
  Flags flags = flags_of_section(own->second.substr(0, own->second.find("\n### ")));
  for (const char* shared : {"Data", "Device"}) {
    const std::string link = std::string("[") + shared + "](#" +
                             static_cast<char>(std::tolower(*shared)) + (shared + 1) + ")";
    if (own->second.find(link) != std::string::npos)
      flags.merge(flags_of_section(sections.at(shared)));
  }
  return flags;
}

std::string text(const Flags& flags) {
  std::string out;
  for (const auto& [flag, value] : flags) out += flag + (value.empty() ? "" : "=" + value) + "\n";
  return out;
}

TEST(CliDocument, has_every_command_and_flag_with_its_default_and_no_other) {
  const auto sections = sections_of(read_file(FT_SOURCE "/docs/cli.md"));
  const std::vector<std::string> names = commands();
  ASSERT_GE(names.size(), 9u);
  std::set<std::string> expected;
  const std::string document = read_file(FT_SOURCE "/docs/cli.md");
  for (const std::string& command : names) {
    EXPECT_NE(document.find("\n| [`" + command + "`](#ftrun-" + command + ") |"), std::string::npos)
        << command << " is not in the table of commands";
    const Flags flags = flags_of_help(help_of({command, "--help"}));
    EXPECT_FALSE(flags.empty()) << command;
    EXPECT_EQ(text(flags_of_document(sections, command)), text(flags)) << "of ftrun " << command;
    expected.insert("ftrun " + command);
  }
  for (const auto& [title, section] : sections) {
    if (!title.starts_with("ftrun ")) continue;
    EXPECT_TRUE(expected.contains(title)) << title << " is no command";
  }
}

TEST(CliDocument, names_every_model_and_file_of_a_run) {
  const std::string document = read_file(FT_SOURCE "/docs/cli.md");
  for (const char* name :
       {"alexnet", "alexnet-tv", "resnet50", "resnet50-v1", "vgg16", "vgg16-keras", "best.h5",
        "last.h5", "metrics.csv", "metrics.jsonl", "predictions.csv", "run.toml", "curves.svg",
        "confusion.svg", "train-set.png", "test-set.png", "gradcam.png"})
    EXPECT_NE(document.find("`" + std::string(name) + "`"), std::string::npos) << name;
}

}  // namespace
}  // namespace ft::test
