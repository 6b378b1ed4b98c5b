// The one door for every file that must survive: after a crash, a full disk or a power cut a reader
// sees the old file or the new one, complete, never a mix and never nothing.
// How: the bytes go to a temp file in the same folder, are synced, read back and compared, and the
// temp file is renamed over the target; then the folder is synced. The target is not touched before
// that rename. Nothing is owned between calls. Safe from several threads, also on one target (the
// last rename wins). SIGXFSZ must be ignored by the program, so that a file size limit is an error.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace ft {

// Makes `bytes` the content of `path`. A symlink is resolved once and its target replaced; an
// existing file keeps its permission bits; a full disk is tried twice (see remove_stale_temps).
// On failure the old content stands and the temp file is gone.
// Throws Error 5001-5016 naming `path`. Only 5013 (the folder could not be synced) is thrown with
// the new content in place.
void write_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_atomically(const std::filesystem::path& path, std::string_view text);

// Whether write_atomically() could begin now: for a check before long work. Leaves nothing behind.
// Throws the same Error 5004-5016 naming `path`.
void check_writable(const std::filesystem::path& path);

// Removes temp files that a killed process left in `folder`. Those of running processes are locked
// by them and stay. Returns how many were removed; problems are ignored.
int remove_stale_temps(const std::filesystem::path& folder);

// Throws the Error 50xx that belongs to `error` (an errno) of the system call named `call` on
// `path`.
[[noreturn]] void throw_output_error(const std::filesystem::path& path, std::string_view call,
                                     int error);

}  // namespace ft
