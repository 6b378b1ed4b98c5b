// Second half of scan(): class folders, their files, and the rules that hold between the splits.
#include "io/dataset.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

#include "io/dataset_notes.h"
#include "io/dataset_roots.h"
#include "io/names.h"

namespace ft {
namespace {

struct ClassFolder {
  std::string name, path;
  FolderId id;
  std::vector<std::string> files;
  std::vector<BadFile> unusable;
};

struct ScannedSplit {
  std::string name, root;
  std::vector<ClassFolder> classes;  // sorted by the bytes of their names
  std::vector<std::string> stray_images;
  std::vector<BadFile> unusable;

  const ClassFolder* find(const std::string& name_) const {
    for (const ClassFolder& c : classes)
      if (c.name == name_) return &c;
    return nullptr;
  }
  bool has_images(const std::string& name_) const {
    const ClassFolder* c = find(name_);
    return c != nullptr && !c->files.empty();
  }
};

std::vector<std::string> names_of(const ScannedSplit& split) {
  std::vector<std::string> names;
  for (const ClassFolder& c : split.classes) names.push_back(c.name);
  return names;
}

// One scan. Each step either fills in more of splits_ or throws with all faults of one kind.
class Scanner {
 public:
  explicit Scanner(const ScanOptions& options) : options_(options) {}
  Dataset run();

 private:
  void list_classes(const SplitRoot& root, FolderWalk* walk);
  void list_files(FolderWalk* walk);
  void refuse_unreadable_and_outside() const;
  void refuse_stray_images() const;
  void refuse_same_folders() const;
  void choose_classes();
  void refuse_empty_classes() const;
  std::string hidden_classes(const ScannedSplit& split) const;
  void compare_classes(const ScannedSplit& split);
  void assign_labels();

  std::string where() const { return options_.data.empty() ? splits_[0].root : options_.data; }

  const ScanOptions& options_;
  std::vector<ScannedSplit> splits_;
  Dataset data_;
};

void Scanner::list_classes(const SplitRoot& root, FolderWalk* walk) {
  ScannedSplit split;
  split.name = root.name;
  split.root = root.path;
  WalkFindings& findings = data_.notes.walk;
  std::vector<FolderEntry> entries;
  const int failure = list_folder(root.path, &entries);
  if (failure != 0)
    findings.unreadable.push_back(fmt::format("{} ({})", root.path, errno_text(failure)));
  for (const FolderEntry& entry : entries) {
    const std::string path = join_path(root.path, entry.name);
    const std::string extension = extension_of(entry.name);
    if (is_hidden_name(entry.name)) {
      findings.hidden.push_back(path);
    } else if (entry.kind == EntryKind::folder) {
      ClassFolder folder{entry.name, path, {}, {}, {}};
      if (entry.is_link && !walk->may_follow(path)) continue;
      folder_id(path, &folder.id);
      split.classes.push_back(std::move(folder));
    } else if (entry.kind != EntryKind::file) {
      split.unusable.push_back({path, entry.reason, entry.number()});
    } else if (is_image_extension(extension)) {
      split.stray_images.push_back(path);
    } else {
      ++findings.other_kinds[extension];
    }
  }
  splits_.push_back(std::move(split));
}

void Scanner::list_files(FolderWalk* walk) {
  // A link to a folder that is a root or a class already must not bring its images in again.
  std::set<FolderId> taken;
  FolderId id;
  if (folder_id(options_.data, &id)) taken.insert(id);
  for (const ScannedSplit& split : splits_) {
    if (folder_id(split.root, &id)) taken.insert(id);
    for (const ClassFolder& folder : split.classes) taken.insert(folder.id);
  }
  for (ScannedSplit& split : splits_)
    for (ClassFolder& folder : split.classes) {
      walk->run(folder.path, taken, &folder.files, &folder.unusable);
      std::sort(folder.files.begin(), folder.files.end());
    }
}

void Scanner::refuse_unreadable_and_outside() const {
  const WalkFindings& findings = data_.notes.walk;
  if (!findings.unreadable.empty())
    throw DatasetError(2213, where(), "folders that cannot be read", findings.unreadable,
                       "make them readable for this user, or take them out of the dataset");
  if (findings.outside_links.empty()) return;
  std::vector<std::string> links = findings.outside_links;
  const auto add = [&](const std::vector<BadFile>& files) {
    for (const BadFile& file : files)
      if (file.number == kLeadsNowhere)
        links.push_back(fmt::format("{}: {}", file.path, file.reason));
  };
  for (const ScannedSplit& split : splits_) {
    add(split.unusable);
    for (const ClassFolder& folder : split.classes) add(folder.unusable);
  }
  const bool nowhere = links.size() > findings.outside_links.size();
  throw DatasetError(2212, where(),
                     nowhere ? "links that lead out of the dataset or nowhere"
                             : "links that lead out of the dataset",
                     links,
                     "copy what they point to, or allow those that lead out by "
                     "--allow-outside-links");
}

void Scanner::refuse_stray_images() const {
  std::vector<std::string> stray;
  for (const ScannedSplit& split : splits_)
    stray.insert(stray.end(), split.stray_images.begin(), split.stray_images.end());
  if (!stray.empty())
    throw DatasetError(2207, where(), "images beside class folders", stray,
                       "put every image into the folder of its class");
  for (const ScannedSplit& split : splits_)
    if (split.classes.empty())
      throw Error(2208, split.root, "no class folders were found, expected one folder a class",
                  "make a folder for every class and put its images there");
}

void Scanner::refuse_same_folders() const {
  std::vector<std::string> same;
  std::map<FolderId, std::string> seen;
  for (const ScannedSplit& split : splits_) {
    FolderId root;
    if (options_.allow_overlap) seen.clear();
    if (!folder_id(split.root, &root)) continue;
    if (const auto [at, fresh] = seen.emplace(root, split.root); !fresh) {
      same.push_back(fmt::format("{} = {}", split.root, at->second));
      continue;
    }
    for (const ClassFolder& folder : split.classes)
      if (const auto [at, fresh] = seen.emplace(folder.id, folder.path); !fresh)
        same.push_back(fmt::format("{} = {}", folder.path, at->second));
  }
  if (!same.empty())
    throw DatasetError(2214, where(), "one folder used twice", same,
                       "remove the links; if two splits are to hold the same images, say so by "
                       "--allow-overlap");
}

void Scanner::refuse_empty_classes() const {
  std::vector<std::string> empty;
  for (const ScannedSplit& split : splits_)
    for (const ClassFolder& folder : split.classes)
      if (split.name == "train" && options_.for_training && !split.has_images(folder.name))
        empty.push_back(folder.path);
  if (!empty.empty())
    throw DatasetError(2210, where(), "class folders without an image", empty,
                       "add images, or remove the folders from every split");
}

void Scanner::choose_classes() {
  if (!options_.expected_classes.empty()) {
    data_.classes = options_.expected_classes;
    return;
  }
  FT_CHECK(splits_[0].name == "train", "without train, scan() needs expected_classes");
  data_.classes = names_of(splits_[0]);
  if (options_.for_training && data_.classes.size() < 2)
    throw Error(
        2209, splits_[0].root,
        fmt::format("found one class only, {}; training needs two or more", data_.classes[0]),
        "give a folder that holds one folder of images a class");
}

// "; train/.brick is hidden and was skipped" for every hidden entry that is a class of the run or of `split` but for the
// dot in front.
std::string Scanner::hidden_classes(const ScannedSplit& split) const {
  std::string text;
  for (const std::string& path : data_.notes.walk.hidden) {
    const std::string name = path.substr(path.rfind('/') + 1);
    if (!name.starts_with('.')) continue;
    const std::string shown = name.substr(1);
    const bool is_class =
        split.find(shown) != nullptr || std::ranges::count(data_.classes, shown) > 0;
    if (is_class) text += fmt::format("; {} is hidden and was skipped", path);
  }
  return text;
}

// Both sides of the difference between the classes of the run and those of one split.
void Scanner::compare_classes(const ScannedSplit& split) {
  std::vector<std::string> missing, unknown;
  for (const std::string& name : data_.classes)
    if (!split.has_images(name)) missing.push_back(name);
  const std::set<std::string> known(data_.classes.begin(), data_.classes.end());
  for (const ClassFolder& folder : split.classes) {
    if (known.contains(folder.name)) continue;
    // Prefer a class that this split lacks: that is what a typing error looks like.
    std::string meant = closest_name(folder.name, missing);
    if (meant.empty()) meant = closest_name(folder.name, data_.classes);
    unknown.push_back(meant.empty() ? folder.name
                                    : fmt::format("{} (did you mean {}?)", folder.name, meant));
  }
  const bool of_model = !options_.expected_classes.empty();
  const std::string source = of_model ? "the network of the weights" : "train";
  const std::string expected = fmt::format("{} has {} classes: {}", source, data_.classes.size(),
                                           list_names(data_.classes, kItemsShown));
  std::string lacks =
      missing.empty() ? ""
                      : fmt::format("; without images here: {}", list_names(missing, kItemsShown));
  const std::string hidden = hidden_classes(split);
  if (!unknown.empty())
    throw DatasetError(
        2211, split.root, fmt::format("{}{}{}; {} does not know", expected, lacks, hidden, source),
        unknown,
        of_model ? "use weights that were tuned on these classes, or rename the folders "
                   "(ftrun inspect lists the classes of a file)"
                 : "give the folders the same names in every split");
  if (missing.empty()) return;
  if (!options_.allow_missing_classes)
    throw DatasetError(2215, split.root, fmt::format("{}{}; without images here", expected, hidden),
                       missing, "add images, or go on without them by --allow-missing-classes");
  data_.notes.warnings.push_back(
      fmt::format("{} has no samples of {}", split.name, list_names(missing, kItemsShown)));
}

void Scanner::assign_labels() {
  std::map<std::string, int> labels;
  for (size_t i = 0; i < data_.classes.size(); ++i)
    labels.emplace(data_.classes[i], static_cast<int>(i));
  for (ScannedSplit& scanned : splits_) {
    Split split{scanned.name, scanned.root, {}, std::move(scanned.unusable)};
    // In the order of the folders, which is that of the class list unless a model brought its own.
    for (ClassFolder& folder : scanned.classes) {
      const int label = labels.at(folder.name);
      for (std::string& file : folder.files) split.samples.push_back({std::move(file), label});
      split.unusable.insert(split.unusable.end(), folder.unusable.begin(), folder.unusable.end());
    }
    data_.splits.push_back(std::move(split));
  }
}

Dataset Scanner::run() {
  const std::vector<SplitRoot> roots = find_roots(options_, &data_.notes);
  std::vector<std::string> inside;
  if (!options_.data.empty()) inside.push_back(options_.data);
  for (const SplitRoot& root : roots)
    if (root.given) inside.push_back(root.path);
  FolderWalk walk(inside, options_.allow_outside_links, &data_.notes.walk);
  for (const SplitRoot& root : roots) {
    // data/train, like any other link, must not lead out of the dataset.
    if (walk.may_follow(root.path)) list_classes(root, &walk);
  }
  list_files(&walk);
  refuse_unreadable_and_outside();
  refuse_stray_images();
  refuse_same_folders();
  refuse_empty_classes();
  choose_classes();
  for (const ScannedSplit& split : splits_) compare_classes(split);
  assign_labels();
  warn_about_names(data_.classes, &data_.notes);
  if (options_.for_training) warn_about_counts(*data_.find("train"), data_.classes, &data_.notes);
  return std::move(data_);
}

}  // namespace

const Split* Dataset::find(const std::string& name) const {
  for (const Split& split : splits)
    if (split.name == name) return &split;
  return nullptr;
}

Dataset scan(const ScanOptions& options) { return Scanner(options).run(); }

std::vector<int64_t> class_counts(const Split& split, size_t classes) {
  std::vector<int64_t> counts(classes, 0);
  for (const Sample& sample : split.samples) ++counts.at(static_cast<size_t>(sample.label));
  return counts;
}

}  // namespace ft
