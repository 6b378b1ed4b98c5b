// The output folder of one run: made when missing, kept from other runs by an OS lock that dies
// with its owner. RunFolder owns the lock; move-only; the folder and its files stay.
#pragma once

#include <filesystem>
#include <span>

#include "io/unique_fd.h"

namespace ft {

class RunFolder {
 public:
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::filesystem::path& name) const { return path_ / name; }
  // False where the file system has no locks: nothing then stops a second run on this folder.
  bool locked() const { return static_cast<bool>(lock_); }

 private:
  friend RunFolder make_run_folder(const std::filesystem::path&, bool,
                                   std::span<const std::filesystem::path>);
  std::filesystem::path path_;
  UniqueFd lock_;
};

// Makes `path` and its parents, locks it, and removes temp files that a killed run left in it.
//   force   accept a folder that holds another run (for --force and --resume); nothing is deleted
//   inputs  dataset folders, which the output must not be or lie in
// Throws Error 2070 `path` is a file, 2071 inside an input, 2072 holds another run (run.toml or
// last.h5 is there), 2073 another process writes to it, 50xx it cannot be made or written.
RunFolder make_run_folder(const std::filesystem::path& path, bool force,
                          std::span<const std::filesystem::path> inputs = {});

}  // namespace ft
