// Finding train, val and test, and saying what was found instead.
#include "io/dataset_roots.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fmt/format.h>

#include "io/names.h"

namespace ft {
namespace {

constexpr std::array<const char*, 3> kSplits = {"train", "val", "test"};

// What people call the splits; case, -, _ and spaces do not count.
const std::vector<std::vector<std::string>>& other_names() {
  static const std::vector<std::vector<std::string>> names = {
      {"train", "training", "trainset", "trn", "trainingset", "trains", "traindata"},
      {"val", "valid", "validation", "valset", "validationset", "dev", "eval", "vals", "validate"},
      {"test", "testing", "testset", "tst", "tests", "testdata"}};
  return names;
}

bool given(const std::string& path) { return !path.empty(); }

const std::string& explicit_root(const ScanOptions& options, size_t split) {
  return split == 0 ? options.train : split == 1 ? options.val : options.test;
}

// Lists a root, or says which way it is unusable.
std::vector<FolderEntry> list_root(const std::string& path) {
  std::vector<FolderEntry> entries;
  const int failure = list_folder(path, &entries);
  const std::string remedy = "give the folder that holds one folder of images a class";
  if (failure == ENOENT) throw Error(2201, path, "there is no such folder", "check the path");
  if (failure == ENOTDIR) throw Error(2202, path, "this is a file, not a folder", remedy);
  if (failure != 0)
    throw Error(2204, path, fmt::format("the folder cannot be read ({})", errno_text(failure)),
                "make it readable for this user");
  const auto visible = [](const FolderEntry& entry) { return !is_hidden_name(entry.name); };
  if (std::none_of(entries.begin(), entries.end(), visible))
    throw Error(
        2203, path,
        entries.empty() ? "the folder is empty" : "the folder is empty but for hidden files",
        remedy);
  return entries;
}

// What stands in the data folder.
struct DataFolder {
  std::vector<std::string> folders;    // visible ones
  std::array<bool, 3> found{};         // train, val, test by that very name
  std::vector<std::string> misnamed;   // "valid (did you mean val?)"
  std::vector<std::string> far_guess;  // the same for folders that only look a little like a split
};

// The split that a folder was probably meant to be, -1 for none. *sure: a name in other_names().
int guess_split(const std::string& folder, bool* sure) {
  for (size_t s = 0; s < kSplits.size(); ++s)
    for (const std::string& name : other_names()[s])
      if (skeleton(name) == skeleton(folder)) {
        *sure = true;
        return static_cast<int>(s);
      }
  *sure = false;
  const std::vector<std::string> splits(kSplits.begin(), kSplits.end());
  const std::string close = closest_name(folder, splits);
  const auto at = std::find(splits.begin(), splits.end(), close);
  return at == splits.end() ? -1 : static_cast<int>(at - splits.begin());
}

DataFolder read_data_folder(const ScanOptions& options) {
  DataFolder data;
  for (const FolderEntry& entry : list_root(options.data)) {
    if (is_hidden_name(entry.name)) continue;
    for (size_t s = 0; s < kSplits.size(); ++s)
      if (entry.name == kSplits[s]) data.found[s] = true;
    if (entry.kind == EntryKind::folder) data.folders.push_back(entry.name);
  }
  for (const std::string& folder : data.folders) {
    bool sure = false;
    const int guess = guess_split(folder, &sure);
    if (guess < 0 || folder == kSplits[static_cast<size_t>(guess)]) continue;
    if (data.found[static_cast<size_t>(guess)]) continue;
    if (given(explicit_root(options, static_cast<size_t>(guess)))) continue;
    (sure ? data.misnamed : data.far_guess)
        .push_back(
            fmt::format("{} (did you mean {}?)", folder, kSplits[static_cast<size_t>(guess)]));
  }
  return data;
}

bool required(const ScanOptions& options, size_t split) {
  return options.for_training && split < 2;
}

[[noreturn]] void throw_missing_splits(const ScanOptions& options, const DataFolder& data) {
  std::string seen = data.folders.empty() ? "no folders were found"
                                          : "found the folders " + list_names(data.folders);
  std::vector<std::string> guesses = data.misnamed;
  guesses.insert(guesses.end(), data.far_guess.begin(), data.far_guess.end());
  if (!guesses.empty()) seen += "; looks misnamed: " + list_names(guesses);
  const char* expected = options.for_training
                             ? "expected train and val, and test where there is one"
                             : "expected at least one of train, val and test";
  throw DatasetError(2205, options.data, fmt::format("{}; {}", expected, seen), {},
                     "rename the folders, or give each one by --train, --val and --test");
}

void note_other_folders(const DataFolder& data, ScanNotes* notes) {
  for (const std::string& folder : data.folders)
    if (std::find(kSplits.begin(), kSplits.end(), folder) == kSplits.end())
      notes->ignored_folders.push_back(folder);
  for (const std::string& guess : data.far_guess)
    notes->warnings.push_back(fmt::format("the folder {} is not read", guess));
}

}  // namespace

std::vector<SplitRoot> find_roots(const ScanOptions& options, ScanNotes* notes) {
  DataFolder data;
  if (given(options.data)) data = read_data_folder(options);
  std::vector<SplitRoot> roots;
  bool missing = !data.misnamed.empty();
  for (size_t s = 0; s < kSplits.size(); ++s) {
    if (given(explicit_root(options, s))) {
      roots.push_back({kSplits[s], explicit_root(options, s), true});
    } else if (data.found[s]) {
      roots.push_back({kSplits[s], join_path(options.data, kSplits[s]), false});
    } else if (required(options, s)) {
      missing = true;
    }
  }
  if (missing || roots.empty()) {
    if (given(options.data)) throw_missing_splits(options, data);
    throw Error(2206, "--data",
                options.for_training ? "training needs the folders train and val"
                                     : "no folder of images was given",
                "give --data DIR with train and val in it, or --train DIR and --val DIR");
  }
  if (given(options.data)) note_other_folders(data, notes);
  for (const SplitRoot& root : roots) list_root(root.path);
  return roots;
}

}  // namespace ft
