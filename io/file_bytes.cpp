// Reading a whole file once.
#include "io/file_bytes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>

#include "io/huge_pages.h"
#include "io/unique_fd.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kPieceBytes = 4u << 20;

enum Fault { missing = 1, folder, not_regular, permission, empty, too_large, changed };

[[noreturn]] void fail(const std::filesystem::path& path, const FileReadOptions& o, Fault fault,
                       const std::string& seen, const std::string& remedy) {
  throw Error(o.first_error + fault, path.string(), seen, remedy);
}

[[noreturn]] void fail_errno(const std::filesystem::path& path, const FileReadOptions& o,
                             int error) {
  if (error == ENOENT || error == ENOTDIR)
    fail(path, o, missing, fmt::format("no such {}", o.what), "check the spelling of the path");
  if (error == EACCES || error == EPERM)
    fail(path, o, permission, fmt::format("no permission to read this {}", o.what),
         "allow reading with chmod u+r, or run as its owner");
  if (error == EMFILE || error == ENFILE)
    throw Error(5015, path.string(), "too many open files", "raise the limit with ulimit -n");
  throw Error(5030, path.string(),
              fmt::format("the {} cannot be read [{}]", o.what, std::strerror(error)),
              "check the disk or the network drive, then run the same command again");
}

UniqueFd open_regular(const std::filesystem::path& path, const FileReadOptions& o, off_t* size) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) fail_errno(path, o, errno);
  if (S_ISDIR(info.st_mode))
    fail(path, o, folder, fmt::format("is a folder, not a {}", o.what), "name the file inside it");
  if (!S_ISREG(info.st_mode))
    fail(path, o, not_regular, fmt::format("is a device, pipe or socket, not a {}", o.what),
         "save the content to a regular file first");
  // Non-blocking, in case a FIFO took its place just now; what counts is what was opened.
  UniqueFd fd(retry_interrupted(
      [&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); }));
  if (!fd || ::fstat(fd.get(), &info) != 0) fail_errno(path, o, errno);
  if (info.st_size == 0)
    fail(path, o, empty, fmt::format("the {} is empty (0 bytes)", o.what),
         "make or copy the file again");
  if (static_cast<uint64_t>(info.st_size) > o.max_bytes)
    fail(path, o, too_large,
         fmt::format("the {} has {} bytes, at most {} are read", o.what, info.st_size, o.max_bytes),
         "check that this is the right file");
  *size = info.st_size;
  return fd;
}

}  // namespace

FileBytes::FileBytes(size_t size)
    : data_(static_cast<std::byte*>(std::malloc(std::max<size_t>(size, 1)))), size_(size) {
  if (!data_) throw std::bad_alloc();
  advise_huge_pages(data_.get(), size);
}

void read_file_bytes(const std::filesystem::path& path, const FileReadOptions& options,
                     FileBytes* file) {
  off_t size = 0;
  const UniqueFd fd = open_regular(path, options, &size);
  *file = FileBytes(static_cast<size_t>(size));
  for (size_t done = 0; done < file->size();) {
    const size_t want = std::min(kPieceBytes, file->size() - done);
    const ssize_t n =
        retry_interrupted([&] { return ::read(fd.get(), file->data() + done, want); });
    if (n < 0) fail_errno(path, options, errno);
    if (n == 0)
      fail(path, options, changed,
           fmt::format("the {} became shorter while it was read ({} of {} bytes)", options.what,
                       done, file->size()),
           "wait until it is written completely, then run the same command again");
    if (options.on_piece) options.on_piece({file->data() + done, static_cast<size_t>(n)});
    done += static_cast<size_t>(n);
  }
}

FileBytes read_file_bytes(const std::filesystem::path& path, const FileReadOptions& options) {
  FileBytes file;
  read_file_bytes(path, options, &file);
  return file;
}

}  // namespace ft
