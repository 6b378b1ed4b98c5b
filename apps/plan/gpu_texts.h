// The descriptions in gpus/ as text, compiled in: made by CMakeLists.txt. Constants.
#pragma once

#include <span>
#include <string_view>
#include <utility>

namespace ft::plan {

// Name and JSON of each, sorted by name; never empty.
std::span<const std::pair<std::string_view, std::string_view>> gpu_texts();

}  // namespace ft::plan
