// Images named one by one or by folder, for commands that have no classes to compare with.
#pragma once

#include <string>
#include <vector>

#include "io/dataset.h"

namespace ft::app {

// Files as given, and for folders every file in them that may be an image (sorted, hidden ones left out),
// with label -1. Throws Error 2241 if a name does not exist and 2242 if nothing is left.
std::vector<Sample> collect_image_files(const std::vector<std::string>& names);

// The samples that are good images. Without `skip` a bad one throws its own error, and several throw
// DatasetError 2220 with all of them; with it they are named on stderr and left out. Throws Error 2242 if none is good.
std::vector<Sample> check_image_files(const std::vector<Sample>& samples, bool skip, int workers);

}  // namespace ft::app
