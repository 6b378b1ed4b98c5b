// Folder-per-class datasets: which files there are, which class each belongs to, and everything
// about the folders that a person should hear of before the first step. Only folders are read here:
// whether a file really is an image is found by io/prescan. Values; scan() is safe from any thread.
//
// Rules: one class list, the folders of train sorted by the bytes of their names; val and test are
// matched to it by name. Samples are ordered by class, then by the bytes of their paths. Hidden
// things are skipped and listed, files of known other kinds are skipped and counted, and every
// other file is a candidate. Nothing is dropped without a line in the notes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "io/folder_walk.h"
#include "tensor/error.h"

namespace ft {

struct Sample {
  std::string path;
  int label = 0;  // index into Dataset::classes
};

struct Split {
  std::string name;  // train, val, test
  std::string root;
  std::vector<Sample> samples;
  std::vector<BadFile> unusable;  // lie where images belong and can never be read as one
};

// What was skipped, ignored or is worth a look. Never fatal.
struct ScanNotes {
  WalkFindings walk;
  std::vector<std::string> ignored_folders;  // beside train, val and test
  std::vector<std::string> warnings;

  // One line a kind, for the header of a run; names are escaped. Empty when there is nothing to
  // say.
  std::vector<std::string> lines() const;
};

struct Dataset {
  std::vector<std::string> classes;
  std::vector<Split> splits;  // in the order train, val, test
  ScanNotes notes;

  // The split of that name, or null.
  const Split* find(const std::string& name) const;
};

struct ScanOptions {
  std::string data;              // folder that holds train, val and maybe test
  std::string train, val, test;  // folder of one split each; goes before the one in `data`
  // Training needs train and val and at least two classes. Otherwise at least one split is needed.
  bool for_training = true;
  // The classes of an existing model; labels are indices into it. Required if not for_training.
  std::vector<std::string> expected_classes;
  bool allow_missing_classes = false;  // a class may have no images in val or test
  bool allow_outside_links = false;    // links may lead out of the dataset
  bool allow_overlap = false;          // two splits may be the same folder
};

// Items of a kind that a message or the header of a run shows.
inline constexpr size_t kItemsShown = 20;

// A fault of a dataset with all its occurrences; the message holds the first kItemsShown.
class DatasetError : public Error {
 public:
  DatasetError(int number, std::string where, const std::string& what,
               std::vector<std::string> items, std::string remedy);
  const std::vector<std::string>& items() const { return items_; }

 private:
  std::vector<std::string> items_;
};

// Reads the folders. Throws Error 2201 to 2219 (docs/errors.md).
Dataset scan(const ScanOptions& options);

// Images of every class in a split.
std::vector<int64_t> class_counts(const Split& split, size_t classes);

}  // namespace ft
