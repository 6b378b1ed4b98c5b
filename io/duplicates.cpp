// Equal files by size and SHA-256, and what to make of them.
#include "io/duplicates.h"

#include <sys/stat.h>

#include <map>
#include <set>

#include <fmt/format.h>

#include "io/file_bytes.h"
#include "io/names.h"
#include "io/prescan.h"
#include "io/sha256.h"

namespace ft {
namespace {

struct File {
  const Sample* sample;
  size_t split;
};

std::string digest_of(const std::string& path) {
  // Files of a dataset are checked one by one before; here only their disappearance is left.
  FileReadOptions read;
  read.first_error = 2230;
  read.what = "image";
  return sha256_hex(read_file_bytes(path, read).bytes());
}

// Files whose size another file has too, in the order of the dataset. Empty ones are left out: they
// are bad images, not copies.
std::vector<File> files_of_equal_size(const Dataset& data) {
  std::vector<File> all;
  std::vector<int64_t> sizes;
  std::map<int64_t, int> users;
  for (size_t s = 0; s < data.splits.size(); ++s)
    for (const Sample& sample : data.splits[s].samples) {
      struct stat info{};
      const bool there = stat(sample.path.c_str(), &info) == 0;
      all.push_back({&sample, s});
      sizes.push_back(there ? static_cast<int64_t>(info.st_size) : 0);
      ++users[sizes.back()];
    }
  std::vector<File> out;
  for (size_t i = 0; i < all.size(); ++i)
    if (sizes[i] > 0 && users[sizes[i]] > 1) out.push_back(all[i]);
  return out;
}

void sort_in(const std::vector<File>& group, Duplicates* out) {
  SameFiles paths;
  std::set<int> labels;
  std::set<size_t> splits;
  std::set<std::pair<size_t, int>> places;
  for (const File& file : group) {
    paths.push_back(file.sample->path);
    labels.insert(file.sample->label);
    splits.insert(file.split);
    places.insert({file.split, file.sample->label});
  }
  if (places.size() < group.size()) out->in_one_class.push_back(paths);
  if (labels.size() > 1) out->between_classes.push_back(paths);
  if (splits.size() > 1) out->between_splits.push_back(paths);
}

std::vector<std::string> describe(const std::vector<SameFiles>& groups) {
  std::vector<std::string> lines;
  for (const SameFiles& group : groups) {
    lines.push_back(group[0]);
    for (size_t i = 1; i < group.size(); ++i) lines.back() += " = " + group[i];
  }
  return lines;
}

}  // namespace

Duplicates find_duplicates(const Dataset& data, int threads,
                           const std::function<void(int64_t, int64_t)>& progress) {
  const std::vector<File> files = files_of_equal_size(data);
  std::vector<std::string> digests(files.size());
  const auto work = [&](int64_t i) {
    const auto k = static_cast<size_t>(i);
    digests[k] = digest_of(files[k].sample->path);
  };
  parallel_for(static_cast<int64_t>(files.size()), threads, work, progress);

  std::map<std::string, std::vector<size_t>> equal;
  for (size_t i = 0; i < files.size(); ++i) equal[digests[i]].push_back(i);
  std::map<size_t, std::vector<File>> groups;  // by their first file: the order of the dataset
  for (const auto& [digest, members] : equal)
    if (members.size() > 1)
      for (const size_t i : members) groups[members[0]].push_back(files[i]);
  Duplicates out;
  for (const auto& [first, group] : groups) sort_in(group, &out);
  return out;
}

void judge_duplicates(const Duplicates& duplicates, bool allow_overlap, ScanNotes* notes) {
  if (!duplicates.between_classes.empty())
    throw DatasetError(2226, "dataset", "the same picture in two classes",
                       describe(duplicates.between_classes),
                       "keep each picture in the class that it belongs to");
  if (!duplicates.between_splits.empty() && !allow_overlap)
    throw DatasetError(2227, "dataset", "the same picture in two splits",
                       describe(duplicates.between_splits),
                       "keep each picture in one split, or accept flattering results by "
                       "--allow-overlap");
  const auto warn = [&](const char* one, const char* many, const std::vector<SameFiles>& groups) {
    if (groups.empty()) return;
    notes->warnings.push_back(fmt::format(
        "{} {}: {}", groups.size(), groups.size() == 1 ? one : many, list_names(describe(groups))));
  };
  warn("picture is in two splits, results on it are contaminated",
       "pictures are in two splits, results on them are contaminated", duplicates.between_splits);
  warn("picture is more than once in its class", "pictures are more than once in their class",
       duplicates.in_one_class);
}

}  // namespace ft
