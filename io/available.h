// How much memory and disk this process may still use, as the system says. Any thread.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace ft {

// Memory that could be taken without pushing others out: the least of what the system calls available and of
// what is left below the limits of the control groups of this process. 0 if the system does not say.
// `root` is where /proc and /sys lie; tests draw their own.
size_t available_memory(const std::filesystem::path& root = "/");

// Bytes that a plain user can still write in `folder`; nothing if the system does not say.
std::optional<size_t> available_disk(const std::filesystem::path& folder);

}  // namespace ft
