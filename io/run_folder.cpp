// Making and locking the output folder of a run.
#include "io/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "io/atomic_file.h"
#include "io/available.h"
#include "tensor/error.h"

namespace ft {
namespace fs = std::filesystem;
namespace {

constexpr const char* kLockName = ".ftrun.lock";
constexpr const char* kRunFiles[] = {"run.toml", "last.h5"};

bool lies_in(const fs::path& inner, const fs::path& outer) {
  const auto [end, rest] = std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end());
  return end == outer.end() || (end->empty() && std::next(end) == outer.end());
}

void check_inputs(const fs::path& path, std::span<const fs::path> inputs) {
  std::error_code ignored;
  const fs::path real = fs::weakly_canonical(path, ignored);
  for (const fs::path& input : inputs)
    if (lies_in(real, fs::weakly_canonical(input, ignored)))
      throw Error(2071, path.string(),
                  fmt::format("the output folder lies in the dataset {}", input.string()),
                  "choose an --out outside of the dataset");
}

[[noreturn]] void refuse_file(const fs::path& path) {
  throw Error(2070, path.string(), "is a file, the output must be a folder",
              "choose another --out");
}

void make_folders(const fs::path& path) {
  std::error_code error, unseen;  // what stands behind a folder without permission cannot be seen
  fs::create_directories(path, error);
  if (fs::is_directory(path, unseen)) return;
  if (!unseen && fs::exists(path, unseen)) refuse_file(path);
  // As of /proc: the parents would have been made.
  if (error == std::errc::no_such_file_or_directory)
    throw Error(5005, path.string(), "no folder can be made here [mkdir: " + error.message() + "]",
                "choose another place");
  throw_output_error(path, "mkdir", error ? error.value() : ENOTDIR);
}

// The process that holds the lock, as it wrote itself into the lock file; empty if unknown.
std::string owner_of(int fd) {
  char text[32];
  const ssize_t n = ::pread(fd, text, sizeof text, 0);
  const std::string digits(text, n > 0 ? static_cast<size_t>(n) : 0);
  return digits.substr(0, digits.find_first_not_of("0123456789"));
}

UniqueFd open_lock(const fs::path& path, const fs::path& file) {
  UniqueFd fd(retry_interrupted([&] {
    return ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
  }));
  if (!fd) throw_output_error(path, "open", errno);
  return fd;
}

// The owner removes the file before it lets go of the lock, so a lock counts only on the file that
// has the name now.
bool is_current(int fd, const fs::path& file) {
  struct stat held{}, named{};
  return ::fstat(fd, &held) == 0 && ::lstat(file.c_str(), &named) == 0 &&
         held.st_dev == named.st_dev && held.st_ino == named.st_ino;
}

UniqueFd lock_folder(const fs::path& path) {
  const fs::path file = path / kLockName;
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    throw_output_error(path, "access", errno);
  UniqueFd fd = open_lock(path, file);
  const int result = retry_interrupted([&] { return ::flock(fd.get(), LOCK_EX | LOCK_NB); });
  if (result != 0 && errno == EWOULDBLOCK) {
    const std::string owner = owner_of(fd.get());
    throw Error(2073, path.string(),
                fmt::format("another run{} writes to this folder",
                            owner.empty() ? "" : " (process " + owner + ")"),
                "wait until it has ended, or choose another --out");
  }
  if (result != 0) return {};                                 // a file system without locks
  if (!is_current(fd.get(), file)) return lock_folder(path);  // its owner has just ended
  // For the message above only, so a full disk is no reason to stop here.
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) errno = 0;
  return fd;
}

void check_no_run(const fs::path& path) {
  for (const char* name : kRunFiles)
    if (fs::exists(fs::symlink_status(path / name)))
      throw Error(2072, path.string(), fmt::format("the folder holds another run ({})", name),
                  "choose another --out, or give --force to write over it");
}

}  // namespace

RunFolder::~RunFolder() {
  if (lock_) ::unlink((path_ / kLockName).c_str());
}

void require_file_size(const fs::path& file, uint64_t bytes) {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return;
  if (limit.rlim_cur < bytes) throw_output_error(file, "limit", EFBIG);
}

void require_space(const fs::path& folder, uint64_t bytes,
                   const std::vector<std::string>& replaced) {
  uint64_t old = 0;
  for (const std::string& name : replaced) {
    std::error_code missing;
    const uintmax_t size = fs::file_size(folder / name, missing);
    if (!missing) old += size;
  }
  const uint64_t needed = bytes > old ? bytes - old : 0;
  const std::optional<size_t> free = available_disk(folder);
  if (!free || *free >= needed) return;
  const auto mib = [](uint64_t n) { return static_cast<double>(n) / 1048576.0; };
  throw Error(5017, folder.string(),
              fmt::format("the disk has {:.0f} MiB free, and the run may write {:.0f} MiB",
                          mib(*free), mib(needed)),
              "free space, or choose another --out");
}

void refuse_run_folder(const fs::path& path, bool force, std::span<const fs::path> inputs) {
  check_inputs(path, inputs);
  std::error_code unseen;
  const bool is_folder = fs::is_directory(path, unseen);
  if (!unseen && !is_folder && fs::exists(path, unseen)) refuse_file(path);
  if (is_folder && !force) check_no_run(path);
}

RunFolder make_run_folder(const fs::path& path, bool force, std::span<const fs::path> inputs) {
  check_inputs(path, inputs);
  make_folders(path);
  RunFolder folder;
  folder.path_ = path;
  folder.lock_ = lock_folder(path);
  if (!force) check_no_run(path);
  remove_stale_temps(path);
  return folder;
}

}  // namespace ft
