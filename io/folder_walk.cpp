// Listing of folders and the walk below one of them.
#include "io/folder_walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include <fmt/format.h>

namespace ft {
namespace {

struct CloseDir {
  void operator()(DIR* dir) const { closedir(dir); }
};
struct Free {
  void operator()(char* text) const { free(text); }
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  return out;
}

const char* mode_name(mode_t mode) {
  if (S_ISFIFO(mode)) return "a FIFO, not a file";
  if (S_ISSOCK(mode)) return "a socket, not a file";
  return "a device, not a file";
}

// Fills in kind and reason of entry `name` of the open folder `fd`.
void classify(int fd, unsigned char type, FolderEntry* entry) {
  entry->is_link = type == DT_LNK;
  if (type == DT_REG) return;
  if (type == DT_DIR) {
    entry->kind = EntryKind::folder;
    return;
  }
  struct stat info{};
  if (type == DT_UNKNOWN && fstatat(fd, entry->name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0)
    entry->is_link = S_ISLNK(info.st_mode);
  if (fstatat(fd, entry->name.c_str(), &info, 0) != 0) {
    entry->kind = EntryKind::dangling;
    entry->reason = entry->is_link ? fmt::format("a link that leads nowhere: {}", errno_text(errno))
                                   : errno_text(errno);
  } else if (S_ISDIR(info.st_mode)) {
    entry->kind = EntryKind::folder;
  } else if (!S_ISREG(info.st_mode)) {
    entry->kind = EntryKind::other;
    entry->reason = mode_name(info.st_mode);
  }
}

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

std::string real_path(const std::string& path) {
  const std::unique_ptr<char, Free> real(realpath(path.c_str(), nullptr));
  return real ? std::string(real.get()) : std::string();
}

}  // namespace

int list_folder(const std::string& path, std::vector<FolderEntry>* entries) {
  const std::unique_ptr<DIR, CloseDir> dir(opendir(path.c_str()));
  if (!dir) return errno;
  for (;;) {
    errno = 0;
    const dirent* item = readdir(dir.get());
    if (item == nullptr) break;
    FolderEntry entry;
    entry.name = item->d_name;
    if (entry.name == "." || entry.name == "..") continue;
    classify(dirfd(dir.get()), item->d_type, &entry);
    entries->push_back(std::move(entry));
  }
  const int failure = errno;
  std::sort(entries->begin(), entries->end(),
            [](const FolderEntry& a, const FolderEntry& b) { return a.name < b.name; });
  return failure;
}

bool folder_id(const std::string& path, FolderId* id) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return false;
  *id = {static_cast<uint64_t>(info.st_dev), static_cast<uint64_t>(info.st_ino)};
  return true;
}

std::string join_path(std::string_view dir, std::string_view name) {
  std::string out(dir);
  if (!out.empty() && out.back() != '/') out += '/';
  return out.append(name);
}

std::string errno_text(int code) { return std::generic_category().message(code); }

bool is_hidden_name(std::string_view name) {
  static constexpr std::array<std::string_view, 8> kNames = {
      "thumbs.db",  "ehthumbs.db", "desktop.ini",  "__macosx",
      "lost+found", "@eadir",      "$recycle.bin", "system volume information"};
  return name.starts_with('.') || contains(kNames, lower(name));
}

std::string extension_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0 || dot + 1 == name.size()) return "";
  return lower(name.substr(dot + 1));
}

bool is_known_other_kind(std::string_view extension) {
  static constexpr std::array<std::string_view, 10> kKinds = {"txt", "csv",  "tsv", "json", "xml",
                                                              "md",  "html", "htm", "yaml", "yml"};
  return contains(kKinds, extension);
}

bool is_image_extension(std::string_view extension) {
  static constexpr std::array<std::string_view, 14> kKinds = {
      "jpg", "jpeg", "jpe",  "jfif", "png",  "bmp",  "gif",
      "tif", "tiff", "webp", "heic", "heif", "avif", "svg"};
  return contains(kKinds, extension);
}

FolderWalk::FolderWalk(const std::vector<std::string>& roots, bool allow_outside,
                       WalkFindings* findings)
    : allow_outside_(allow_outside), findings_(findings) {
  for (const std::string& root : roots) real_roots_.push_back(real_path(root));
}

bool FolderWalk::may_follow(const std::string& link) {
  if (allow_outside_) return true;
  const std::string target = real_path(link);
  for (const std::string& root : real_roots_)
    if (!root.empty() && (target == root || target.starts_with(join_path(root, "")))) return true;
  findings_->outside_links.push_back(fmt::format("{} -> {}", link, target));
  return false;
}

void FolderWalk::run(const std::string& folder, std::set<FolderId> taken,
                     std::vector<std::string>* files, std::vector<BadFile>* unusable) {
  taken_ = std::move(taken);
  files_ = files;
  unusable_ = unusable;
  enter(folder, 0);
}

void FolderWalk::enter(const std::string& folder, int depth) {
  std::vector<FolderEntry> entries;
  const int failure = list_folder(folder, &entries);
  if (failure != 0)
    findings_->unreadable.push_back(fmt::format("{} ({})", folder, errno_text(failure)));
  for (const FolderEntry& entry : entries) visit(join_path(folder, entry.name), entry, depth);
}

void FolderWalk::visit(const std::string& path, const FolderEntry& entry, int depth) {
  if (is_hidden_name(entry.name)) {
    findings_->hidden.push_back(path);
    return;
  }
  if (entry.kind != EntryKind::folder) {
    visit_file(path, entry);
    return;
  }
  FolderId id;
  if (entry.is_link && !may_follow(path)) return;
  if (!folder_id(path, &id)) {
    findings_->unreadable.push_back(fmt::format("{} ({})", path, errno_text(errno)));
  } else if (!taken_.insert(id).second) {
    findings_->cut_links.push_back(path);
  } else if (depth == kMaxDepth) {
    findings_->too_deep.push_back(path);
  } else {
    const size_t before = files_->size() + unusable_->size();
    enter(path, depth + 1);
    if (files_->size() + unusable_->size() == before &&
        is_image_extension(extension_of(entry.name)))
      unusable_->push_back({path, "a folder, not a file", kIsFolder});
  }
}

void FolderWalk::visit_file(const std::string& path, const FolderEntry& entry) {
  const std::string extension = extension_of(entry.name);
  if (entry.kind != EntryKind::file) {
    unusable_->push_back({path, entry.reason, entry.number()});
  } else if (path.size() >= PATH_MAX) {
    unusable_->push_back(
        {path,
         fmt::format("a path of {} bytes, the system's limit is {}", path.size(), PATH_MAX - 1),
         kPathTooLong});
  } else if (is_known_other_kind(extension)) {
    ++findings_->other_kinds[extension];
  } else if (!entry.is_link || may_follow(path)) {
    files_->push_back(path);
  }
}

}  // namespace ft
