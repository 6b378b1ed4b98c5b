// What a file really is, by its first bytes: for the message when it is not what was expected.
#pragma once

#include <cstddef>
#include <span>

namespace ft {

struct ContentKind {
  const char* what;    // "a Git LFS pointer, not the file itself"
  const char* remedy;  // what its user can do to get weights that ftrun loads
};

// Never fails: unknown content is "a file of unknown kind". Looks at the first 4 KiB only.
ContentKind content_kind(std::span<const std::byte> bytes);

}  // namespace ft
