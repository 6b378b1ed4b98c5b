// Last part of scan(): warnings about what it found. Internal to io/dataset.
#pragma once

#include <string>
#include <vector>

#include "io/dataset.h"

namespace ft {

// Class names that a person would take for each other.
void warn_about_names(const std::vector<std::string>& classes, ScanNotes* notes);

// Small training classes and strong imbalance, with counts.
void warn_about_counts(const Split& train, const std::vector<std::string>& classes,
                       ScanNotes* notes);

}  // namespace ft
