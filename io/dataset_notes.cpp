// What scan() tells without refusing: the notes as lines, warnings, and lists of faults.
#include "io/dataset_notes.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "io/names.h"

namespace ft {
namespace {

constexpr int64_t kFewImages = 5;   // fewer in a training class are warned about
constexpr int64_t kImbalance = 10;  // largest / smallest training class that is warned about

void add_line(const char* what, const std::vector<std::string>& items,
              std::vector<std::string>* lines) {
  if (items.empty()) return;
  lines->push_back(
      escape(fmt::format("{} {}: {}", items.size(), what, list_names(items, kItemsShown))));
}

}  // namespace

DatasetError::DatasetError(int number, std::string where, const std::string& what,
                           std::vector<std::string> items, std::string remedy)
    : Error(number, std::move(where),
            items.empty()
                ? what
                : fmt::format("{} ({}): {}", what, items.size(), list_names(items, kItemsShown)),
            std::move(remedy)),
      items_(std::move(items)) {}

void warn_about_names(const std::vector<std::string>& classes, ScanNotes* notes) {
  std::map<std::string, std::vector<std::string>> alike;
  for (const std::string& name : classes) alike[skeleton(name)].push_back(name);
  for (const auto& [bones, names] : alike)
    if (names.size() > 1)
      notes->warnings.push_back(
          fmt::format("class names that look alike: {}", list_names(names, kItemsShown)));
}

void warn_about_counts(const Split& train, const std::vector<std::string>& classes,
                       ScanNotes* notes) {
  const std::vector<int64_t> counts = class_counts(train, classes.size());
  std::vector<std::string> few;
  for (size_t i = 0; i < counts.size(); ++i)
    if (counts[i] < kFewImages) few.push_back(fmt::format("{} ({})", classes[i], counts[i]));
  if (!few.empty())
    notes->warnings.push_back(fmt::format("training classes with fewer than {} images: {}",
                                          kFewImages, list_names(few, kItemsShown)));
  const auto [low, high] = std::minmax_element(counts.begin(), counts.end());
  if (*low < 1 || *high < kImbalance * *low) return;
  notes->warnings.push_back(fmt::format("strong imbalance: {} training images of {}, {} of {}",
                                        *high, classes[static_cast<size_t>(high - counts.begin())],
                                        *low, classes[static_cast<size_t>(low - counts.begin())]));
}

std::vector<std::string> ScanNotes::lines() const {
  std::vector<std::string> out;
  add_line("hidden files or folders skipped", walk.hidden, &out);
  std::vector<std::string> kinds;
  int64_t files = 0;
  for (const auto& [kind, count] : walk.other_kinds) {
    kinds.push_back(kind.empty() ? fmt::format("{} without extension", count)
                                 : fmt::format("{} {}", count, kind));
    files += count;
  }
  if (files > 0)
    out.push_back(escape(
        fmt::format("{} files of other kinds skipped: {}", files, list_names(kinds, kItemsShown))));
  add_line("links not followed, they lead to folders that are searched already", walk.cut_links,
           &out);
  add_line(
      fmt::format("folders not searched, more than {} levels down", FolderWalk::kMaxDepth).c_str(),
      walk.too_deep, &out);
  add_line("folders ignored beside train, val and test", ignored_folders, &out);
  for (const std::string& warning : warnings) out.push_back(escape("warning: " + warning));
  return out;
}

}  // namespace ft
