// Write, sync, read back, rename, sync the folder.
#include "io/atomic_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <random>
#include <string>

#include "io/unique_fd.h"
#include "tensor/error.h"

namespace ft {
namespace fs = std::filesystem;
namespace {

constexpr int kDiskFull = 5001;
constexpr int kMaxLinks = 40;   // as the kernel
constexpr int kMaxNames = 100;  // tries to find a free temp name
constexpr size_t kReadBackBytes = 1u << 20;
constexpr std::string_view kTempPrefix = ".ftrun-", kTempSuffix = ".tmp";

struct Cause {
  int error;   // errno
  int number;  // ours
  const char* seen;
  const char* remedy;
};

constexpr Cause kCauses[] = {
    {ENOSPC, kDiskFull, "the disk is full", "free space, then run the same command again"},
    {EDQUOT, 5002, "the disk quota is used up",
     "free space or ask for more quota, then run the same command again"},
    {EFBIG, 5003, "the file would be larger than the file size limit allows",
     "raise the limit with ulimit -f, then run the same command again"},
    {EROFS, 5004, "the file system is read-only", "choose another output folder, or remount it"},
    {EACCES, 5005, "no permission to write here",
     "allow writing with chmod u+w, or choose another place"},
    {EPERM, 5005, "no permission to write here",
     "allow writing with chmod u+w, or choose another place"},
    {ENOENT, 5006, "the folder does not exist", "create the folder first"},
    {EISDIR, 5007, "is a folder, not a file", "name a file inside it"},
    {ENOTDIR, 5016, "a part of the path is a file, not a folder", "choose another place"},
    {ENAMETOOLONG, 5009, "the name is too long for the file system", "use a shorter name"},
    {ELOOP, 5010, "the symbolic links form a loop", "repair or remove the links"},
    {ESTALE, 5014, "the network drive lost the file",
     "check the connection, then run the same command again"},
    {EMFILE, 5015, "too many open files", "raise the limit with ulimit -n"},
    {ENFILE, 5015, "too many open files", "close other programs"},
};

// Where the bytes go once symlinks are resolved: `name` inside the open folder.
struct Target {
  fs::path shown;  // as the user wrote it, for messages
  fs::path folder_path;
  UniqueFd folder;
  std::string name;
  mode_t mode = 0666;  // before the umask, or the existing file's
  bool exists = false;
};

fs::path resolve_links(const fs::path& path) {
  fs::path real = path;
  for (int hops = 0; hops < kMaxLinks; ++hops) {
    struct stat info{};
    if (::lstat(real.c_str(), &info) != 0 || !S_ISLNK(info.st_mode)) return real;
    std::error_code error;
    const fs::path next = fs::read_symlink(real, error);
    if (error) throw_output_error(path, "readlink", error.value());
    real = real.parent_path() / next;  // an absolute `next` replaces the folder
  }
  throw_output_error(path, "readlink", ELOOP);
}

// An existing target must be a regular file that we may write: a rename over a device, or over a
// file that its owner made read-only, would succeed and be wrong.
void check_existing(Target& target) {
  struct stat info{};
  if (::fstatat(target.folder.get(), target.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return;
    throw_output_error(target.shown, "stat", errno);
  }
  if (S_ISDIR(info.st_mode)) throw_output_error(target.shown, "stat", EISDIR);
  if (!S_ISREG(info.st_mode))
    throw Error(5008, target.shown.string(), "is a device, pipe or socket, not a regular file",
                "name a regular file");
  if (::faccessat(target.folder.get(), target.name.c_str(), W_OK, AT_EACCESS) != 0)
    throw_output_error(target.shown, "access", errno);
  target.exists = true;
  target.mode = info.st_mode & 0777;
}

Target open_target(const fs::path& path) {
  Target target;
  target.shown = path;
  const fs::path real = resolve_links(path);
  target.name = real.filename().string();
  target.folder_path = real.has_parent_path() ? real.parent_path() : fs::path(".");
  if (target.name.empty() || target.name == "." || target.name == "..")
    throw_output_error(path, "open", EISDIR);
  target.folder = UniqueFd(retry_interrupted(
      [&] { return ::open(target.folder_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
  if (!target.folder) throw_output_error(path, "open", errno);
  check_existing(target);
  return target;
}

std::string random_temp_name() {
  std::random_device device;
  const uint64_t bits = uint64_t{device()} << 32 | device();
  return fmt::format("{}{}-{:016x}{}", kTempPrefix, ::getpid(), bits, kTempSuffix);
}

bool is_temp_name(std::string_view name) {
  return name.size() > kTempPrefix.size() + kTempSuffix.size() && name.starts_with(kTempPrefix) &&
         name.ends_with(kTempSuffix);
}

// The file beside the target until it takes the target's place; removed when that does not happen.
// Locked while it lives, so that remove_stale_temps() of another process leaves it alone.
class TempFile {
 public:
  explicit TempFile(const Target& target) : target_(target) {
    for (int tries = 0; tries < kMaxNames; ++tries) {
      name_ = random_temp_name();
      fd_ = UniqueFd(retry_interrupted([&] {
        return ::openat(target.folder.get(), name_.c_str(),
                        O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                        target.exists ? 0600 : 0666);
      }));
      if (!fd_ && errno != EEXIST) throw_output_error(target.shown, "open", errno);
      if (fd_ && lock_and_own()) return;
    }
    throw_output_error(target.shown, "open", EEXIST);
  }
  ~TempFile() {
    if (!renamed_) ::unlinkat(target_.folder.get(), name_.c_str(), 0);
  }
  TempFile(const TempFile&) = delete;
  TempFile& operator=(const TempFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n =
          retry_interrupted([&] { return ::write(fd_.get(), bytes.data(), bytes.size()); });
      if (n < 0) throw_output_error(target_.shown, "write", errno);
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    if (target_.exists && ::fchmod(fd_.get(), target_.mode) != 0)
      throw_output_error(target_.shown, "fchmod", errno);
  }

  // A failed fsync is final: the kernel may have dropped the pages, a second call would say yes.
  void sync() {
    if (retry_interrupted([&] { return ::fsync(fd_.get()); }) != 0)
      throw_output_error(target_.shown, "fsync", errno);
  }

  void read_back(std::span<const std::byte> bytes) {
    ::posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_DONTNEED);  // from the medium where possible
    const size_t piece = std::min(kReadBackBytes, bytes.size());
    const auto buffer = std::make_unique_for_overwrite<std::byte[]>(piece);
    for (size_t done = 0; done < bytes.size();) {
      const size_t want = std::min(piece, bytes.size() - done);
      const ssize_t n = retry_interrupted(
          [&] { return ::pread(fd_.get(), buffer.get(), want, static_cast<off_t>(done)); });
      if (n < 0) throw_output_error(target_.shown, "read", errno);
      if (n == 0 || std::memcmp(buffer.get(), bytes.data() + done, static_cast<size_t>(n)) != 0)
        throw Error(5012, target_.shown.string(),
                    fmt::format("what was written does not read back equal (near byte {})", done),
                    "the disk may be failing: choose another one");
      done += static_cast<size_t>(n);
    }
  }

  // close() is where network drives report late; the lock lives on in the duplicate.
  void close_and_rename() {
    const UniqueFd lock(::dup(fd_.get()));
    if (!lock) throw_output_error(target_.shown, "dup", errno);
    if (fd_.close() != 0 && errno != EINTR) throw_output_error(target_.shown, "close", errno);
    if (::renameat(target_.folder.get(), name_.c_str(), target_.folder.get(),
                   target_.name.c_str()) != 0)
      throw_output_error(target_.shown, "rename", errno);
    renamed_ = true;
  }

 private:
  // False if a cleaner took the new file before it was locked. Without locks nothing is ever
  // cleaned.
  bool lock_and_own() {
    struct stat info{};
    retry_interrupted([&] { return ::flock(fd_.get(), LOCK_EX); });
    return ::fstat(fd_.get(), &info) == 0 && info.st_nlink > 0;
  }

  const Target& target_;
  std::string name_;
  UniqueFd fd_;
  bool renamed_ = false;
};

void sync_folder(const Target& target) {
  if (retry_interrupted([&] { return ::fsync(target.folder.get()); }) == 0) return;
  if (errno == EINVAL) return;  // a file system without this notion
  throw Error(5013, target.shown.string(),
              fmt::format("the new file is in place, but its folder could not be synced [{}]",
                          std::strerror(errno)),
              "check the disk: a power cut may bring the old file back");
}

void write_once(const Target& target, std::span<const std::byte> bytes) {
  {
    TempFile temp(target);
    temp.write(bytes);
    temp.sync();
    temp.read_back(bytes);
    temp.close_and_rename();
  }
  sync_folder(target);
}

}  // namespace

void throw_output_error(const fs::path& path, std::string_view call, int error) {
  const std::string text = fmt::format("[{}: {}]", call, std::strerror(error));
  for (const Cause& cause : kCauses)
    if (cause.error == error)
      throw Error(cause.number, path.string(), fmt::format("{} {}", cause.seen, text),
                  cause.remedy);
  throw Error(5011, path.string(), fmt::format("cannot be written {}", text),
              "check the disk or the network drive, then run the same command again");
}

void write_atomically(const fs::path& path, std::span<const std::byte> bytes) {
  const Target target = open_target(path);
  try {
    write_once(target, bytes);
  } catch (const Error& error) {
    if (error.number() != kDiskFull) throw;
    remove_stale_temps(target.folder_path);
    write_once(target, bytes);
  }
}

void write_atomically(const fs::path& path, std::string_view text) {
  write_atomically(path, std::as_bytes(std::span(text)));
}

void check_writable(const fs::path& path) {
  const Target target = open_target(path);
  const TempFile probe(target);
}

int remove_stale_temps(const fs::path& folder) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(folder.c_str()), ::closedir);
  if (!dir) return 0;
  int removed = 0;
  while (const dirent* entry = ::readdir(dir.get())) {
    if (!is_temp_name(entry->d_name)) continue;
    const UniqueFd fd(::openat(::dirfd(dir.get()), entry->d_name,
                               O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlinkat(::dirfd(dir.get()), entry->d_name, 0) == 0) ++removed;
  }
  return removed;
}

}  // namespace ft
