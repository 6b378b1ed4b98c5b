// Finds the files below one folder, whatever lies in it: hidden things, other kinds of files,
// links, loops, folders that cannot be read. The order is that of the bytes of the names, never
// that of the file system. Opens one folder at a time; opens no file, so that a FIFO cannot hang
// it. A FolderWalk belongs to one thread.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace ft {

// Numbers of the ft::Error that says so of a file that is named alone.
inline constexpr int kLeadsNowhere = 2121, kIsFolder = 2122, kNotRegular = 2123,
                     kPathTooLong = 2128;

// A file that cannot be used, and why. number: of the ft::Error that says so; 0: it can be used.
struct BadFile {
  std::string path, reason;
  int number = 0;
};

// What makes a folder the same folder under any name.
struct FolderId {
  uint64_t device = 0, inode = 0;
  auto operator<=>(const FolderId&) const = default;
};

enum class EntryKind { file, folder, dangling, other };

struct FolderEntry {
  std::string name;
  EntryKind kind = EntryKind::file;  // of what a link points to
  bool is_link = false;
  std::string reason;  // for dangling and other: what it is
  int number() const { return kind == EntryKind::dangling ? kLeadsNowhere : kNotRegular; }
};

// The entries of a folder, sorted by the bytes of their names. Returns 0 or the errno of the
// failure.
int list_folder(const std::string& path, std::vector<FolderEntry>* entries);

// The identity of a folder (links are followed). False if there is no such folder.
bool folder_id(const std::string& path, FolderId* id);

// "dir/name" with one slash between them.
std::string join_path(std::string_view dir, std::string_view name);

// Text of an errno value.
std::string errno_text(int code);

// Names that tools leave behind and that are never data: .anything, Thumbs.db, desktop.ini,
// __MACOSX, lost+found, @eaDir, $RECYCLE.BIN, System Volume Information.
bool is_hidden_name(std::string_view name);

// The extension in lower case without the dot, "" if there is none.
std::string extension_of(std::string_view name);
// Kinds that usually lie beside images and are none: txt csv tsv json xml md html htm yaml yml.
bool is_known_other_kind(std::string_view extension);
// Kinds that people call images, whether ftrun can decode them or not.
bool is_image_extension(std::string_view extension);

// Everything that was met on the way and is not a file to use.
struct WalkFindings {
  // Skipped without harm.
  std::vector<std::string> hidden, cut_links, too_deep;
  std::map<std::string, int64_t> other_kinds;  // extension -> files
  // Must not pass.
  std::vector<std::string> unreadable;     // "path (reason)"
  std::vector<std::string> outside_links;  // "path -> target"
};

class FolderWalk {
 public:
  static constexpr int kMaxDepth = 16;

  // roots: the folders that links may point into, unless allow_outside. *findings outlives the
  // walk.
  FolderWalk(const std::vector<std::string>& roots, bool allow_outside, WalkFindings* findings);

  // Appends every file below `folder` that may be an image, and every entry that can never be one
  // (dangling link, FIFO, socket, device, path too long). A folder is entered once per call, and
  // never if it is in `taken`; both are what cuts loops.
  void run(const std::string& folder, std::set<FolderId> taken, std::vector<std::string>* files,
           std::vector<BadFile>* unusable);

  // Whether a link may be followed; notes it in outside_links if not.
  bool may_follow(const std::string& link);

 private:
  void enter(const std::string& folder, int depth);
  void visit(const std::string& path, const FolderEntry& entry, int depth);
  void visit_file(const std::string& path, const FolderEntry& entry);

  std::vector<std::string> real_roots_;
  bool allow_outside_;
  WalkFindings* findings_;
  std::set<FolderId> taken_;
  std::vector<std::string>* files_ = nullptr;
  std::vector<BadFile>* unusable_ = nullptr;
};

}  // namespace ft
