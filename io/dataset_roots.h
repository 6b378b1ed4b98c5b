// First half of scan(): which folder is which split. Internal to io/dataset.
#pragma once

#include <string>
#include <vector>

#include "io/dataset.h"

namespace ft {

struct SplitRoot {
  std::string name, path;
  bool given = false;  // by --train, --val or --test
};

// The folders of the splits, in the order train, val, test. Each exists, is a folder, can be read
// and is not empty. Folders beside them go to notes->ignored_folders. Throws Error 2201 to 2205.
std::vector<SplitRoot> find_roots(const ScanOptions& options, ScanNotes* notes);

}  // namespace ft
