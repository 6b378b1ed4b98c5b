// The output folder of one run: made when missing, kept from other runs by an OS lock that dies
// with its owner. RunFolder owns the lock, a file that is removed with it; move-only; the folder
// and its other files stay.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/unique_fd.h"

namespace ft {

class RunFolder {
 public:
  RunFolder() = default;
  RunFolder(RunFolder&&) noexcept = default;
  RunFolder& operator=(RunFolder&&) noexcept = default;
  ~RunFolder();
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

// Before the work: throws what make_run_folder() would say of `path` as it is now, but makes nothing.
void refuse_run_folder(const std::filesystem::path& path, bool force,
                       std::span<const std::filesystem::path> inputs = {});

// Makes `path` and its parents, locks it, and removes temp files that a killed run left in it.
//   force   accept a folder that holds another run (for --force and --resume); nothing is deleted
//   inputs  dataset folders, which the output must not be or lie in
// Throws Error 2070 `path` is a file, 2071 inside an input, 2072 holds another run (run.toml or
// last.h5 is there), 2073 another process writes to it, 50xx it cannot be made or written.
RunFolder make_run_folder(const std::filesystem::path& path, bool force,
                          std::span<const std::filesystem::path> inputs = {});

// Before the work: throws Error 5003 if a file of `bytes` is larger than this process may write
// (ulimit -f).
void require_file_size(const std::filesystem::path& file, uint64_t bytes);

// Before the work: throws Error 5017 if the disk of `folder` has less than `bytes` free for this
// user; `replaced` are files in it that will give way to new ones. Says nothing where the system
// does not know, and quotas do not show.
void require_space(const std::filesystem::path& folder, uint64_t bytes,
                   const std::vector<std::string>& replaced = {});

}  // namespace ft
