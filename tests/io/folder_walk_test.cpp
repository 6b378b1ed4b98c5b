// The walk below class folders: kinds of files, links, loops, depth, order, permissions,
// descriptors.
#include "io/folder_walk.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>

#include "tensor/rng.h"
#include "tests/io/folder_tree.h"

namespace ft::test {
namespace {

std::vector<std::string> files_below(const std::string& folder) {
  WalkFindings findings;
  FolderWalk walk({folder}, false, &findings);
  std::vector<std::string> files;
  std::vector<BadFile> unusable;
  FolderId id;
  folder_id(folder, &id);
  walk.run(folder, {id}, &files, &unusable);
  return files;
}

std::vector<std::string> raw_order(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.push_back(entry.path().filename().string());
  return names;
}

std::string bad_files(const Split& split) {
  std::string out;
  for (const BadFile& file : split.unusable) out += file.path + ": " + file.reason + "\n";
  return out;
}

}  // namespace

// B08, B09
TEST(FolderWalk, everything_but_known_other_kinds_is_a_candidate) {
  FolderTree tree;
  tree.remove("train/ants");
  tree.add({"train/ants/a.JPG", "train/ants/b.Jpeg", "train/ants/c", "train/ants/d.webp",
            "train/ants/e.gif", "train/ants/f.doc", "train/ants/g.", "train/ants/x.txt",
            "train/ants/y.CSV", "train/ants/z.json", "train/ants/w.xml", "train/ants/v.html",
            "train/ants/v.md"});
  const Dataset data = tree.scan();
  EXPECT_EQ(class_counts(data.splits[0], 2)[0], 7);
  const std::map<std::string, int64_t> kinds = {{"csv", 1}, {"html", 1}, {"json", 1},
                                                {"md", 1},  {"txt", 1},  {"xml", 1}};
  EXPECT_EQ(data.notes.walk.other_kinds, kinds);
  EXPECT_EQ(data.notes.lines()[0],
            "6 files of other kinds skipped: 1 csv, 1 html, 1 json, 1 md, 1 txt, 1 xml");
}

TEST(FolderWalk, extensions) {
  EXPECT_EQ(extension_of("a.b.JpEg"), "jpeg");
  EXPECT_EQ(extension_of(".jpg"), "");
  EXPECT_EQ(extension_of("a."), "");
  EXPECT_EQ(extension_of(""), "");
}

// B11
TEST(FolderWalk, searches_sixteen_levels_down_and_says_where_it_stopped) {
  FolderTree tree;
  std::string folder = "train/ants";
  for (int level = 1; level <= 17; ++level) {
    folder += "/" + std::to_string(level);
    tree.add({folder + "/deep.jpg"});
  }
  const Dataset data = tree.scan();
  EXPECT_EQ(class_counts(data.splits[0], 2)[0], 3 + 16);
  EXPECT_EQ(data.notes.walk.too_deep, std::vector<std::string>{tree.path(folder)});
  EXPECT_EQ(data.notes.lines()[0],
            "1 folders not searched, more than 16 levels down: " + tree.path(folder));
}

// B15
TEST(FolderWalk, cuts_loops_and_links_into_other_parts_of_the_dataset) {
  FolderTree tree;
  tree.add({"train/ants/more/4.jpg"});
  tree.link("..", "train/ants/up");                    // the split
  tree.link(".", "train/ants/self");                   // the class itself
  tree.link("../../ants", "train/ants/more/loop");     // the class from below
  tree.link("more", "train/ants/twin");                // a second way to a folder
  tree.link("../bees", "train/ants/bees");             // another class
  tree.link("../../val/ants", "train/ants/validate");  // another split
  tree.link("1.jpg", "train/ants/0.jpg");              // a file: followed
  const Dataset data = tree.scan();
  EXPECT_EQ(class_counts(data.splits[0], 2), (std::vector<int64_t>{5, 3}));
  EXPECT_EQ(data.notes.walk.cut_links.size(), 6u);
}

TEST(FolderWalk, links_out_of_the_dataset_need_a_switch) {
  FolderTree tree, elsewhere;
  tree.link(elsewhere.path("train/ants/1.jpg"), "train/ants/out.jpg");
  tree.link(elsewhere.path("train/bees"), "train/bees/out");
  tree.link(elsewhere.path("train/bees"), "train/wasps");
  tree.link(elsewhere.path("val/bees"), "val/wasps");
  tree.link(elsewhere.path("train"), "test");
  ScanOptions options = tree.options();
  std::string seen = error_of([&] { scan(options); });
  EXPECT_HAS(seen, "E2212");
  EXPECT_HAS(seen, "links that lead out of the dataset (5)");
  EXPECT_HAS(seen, tree.path("test") + " -> " + elsewhere.path("train"));
  EXPECT_HAS(seen, "--allow-outside-links");
  // Those that lead nowhere are told with them, not only when these are mended.
  tree.link(elsewhere.path("gone.jpg"), "train/ants/gone.jpg");
  seen = error_of([&] { scan(options); });
  EXPECT_HAS(seen, "links that lead out of the dataset or nowhere (6)");
  EXPECT_HAS(seen, tree.path("train/ants/gone.jpg") + ": a link that leads nowhere");
  tree.remove("train/ants/gone.jpg");
  tree.remove("test");
  options.allow_outside_links = true;
  const Dataset data = scan(options);
  EXPECT_EQ(class_counts(data.splits[0], 3), (std::vector<int64_t>{4, 3, 3}));
  EXPECT_EQ(data.notes.walk.cut_links, std::vector<std::string>{tree.path("train/bees/out")});
}

TEST(FolderWalk, a_neighbour_with_a_longer_name_is_outside) {
  TempDir dir;
  for (const char* file : {"data/train/a/1.jpg", "data/train/b/1.jpg", "data/val/a/1.jpg",
                           "data/val/b/1.jpg", "data2/1.jpg"})
    write_file(dir / file, file);
  std::filesystem::create_symlink("../../../data2/1.jpg", dir / "data/train/a/2.jpg");
  ScanOptions options;
  options.data = (dir / "data").string();
  EXPECT_HAS(error_of([&] { scan(options); }), "E2212");
}

TEST(FolderWalk, a_dataset_that_is_itself_behind_a_link_is_fine) {
  FolderTree tree;
  TempDir dir;
  std::filesystem::create_symlink(tree.path(), dir / "data");
  ScanOptions options;
  options.data = (dir / "data").string();
  EXPECT_EQ(scan(options).splits[0].samples.size(), 6u);
  options = {};
  std::filesystem::create_symlink(tree.path("train"), dir / "t");
  options.train = (dir / "t").string();
  options.val = tree.path("val") + "/";
  EXPECT_EQ(scan(options).splits[0].samples[0].path, (dir / "t").string() + "/ants/1.jpg");
}

TEST(FolderWalk, what_can_never_be_an_image_is_listed_and_not_opened) {
  FolderTree tree;
  tree.link("nowhere.jpg", "train/ants/dangling.jpg");
  tree.link("loop.jpg", "train/ants/loop.jpg");
  ASSERT_EQ(mkfifo(tree.path("train/ants/fifo.jpg").c_str(), 0600), 0);
  tree.add({"train/ants/folder.jpg/", "val/bees/folder.png/5.jpg"});
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string name = tree.path("val/bees/s.jpg");
  ASSERT_LT(name.size(), sizeof address.sun_path);
  name.copy(address.sun_path, name.size());
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  const Dataset data = tree.scan();
  close(fd);
  const std::string dir = tree.path("train/ants/");
  EXPECT_EQ(bad_files(data.splits[0]),
            dir + "dangling.jpg: a link that leads nowhere: No such file or directory\n" + dir +
                "fifo.jpg: a FIFO, not a file\n" + dir + "folder.jpg: a folder, not a file\n" +
                dir + "loop.jpg: a link that leads nowhere: Too many levels of symbolic links\n");
  EXPECT_EQ(bad_files(data.splits[1]), name + ": a socket, not a file\n");
  EXPECT_EQ(class_counts(data.splits[1], 2)[1], 4);
}

// B17
TEST(FolderWalk, names_and_paths_at_the_limits) {
  FolderTree tree;
  const std::string longest = std::string(251, 'n') + ".jpg";
  tree.add({"train/ants/" + longest});
  EXPECT_EQ(class_counts(tree.scan().splits[0], 2)[0], 4);

  // A path that no system call takes: made step by step.
  const std::filesystem::path back = std::filesystem::current_path();
  std::filesystem::current_path(tree.path("train/ants"));
  const size_t folder_bytes = 3850;
  for (size_t bytes = tree.path("train/ants").size(); bytes < folder_bytes;) {
    const std::string step(std::min<size_t>(250, folder_bytes - bytes - 1), 'd');
    std::filesystem::create_directory(step);
    std::filesystem::current_path(step);
    bytes += step.size() + 1;
  }
  write_file("./" + std::string(200, 'f') + ".jpg", "x");
  write_file("./" + std::string(255, 'f'), "x");
  std::filesystem::current_path(back);
  const Dataset data = tree.scan();
  EXPECT_EQ(class_counts(data.splits[0], 2)[0], 5);
  EXPECT_HAS(bad_files(data.splits[0]), "a path of 4106 bytes, the system's limit is 4095");
}

// B18
TEST(FolderWalk, order_is_that_of_the_bytes_whatever_the_file_system_says) {
  TempDir dir;
  bool sorted_by_system = true;
  std::vector<std::string> first;
  for (uint64_t turn = 0; turn < 4; ++turn) {
    const std::string folder = (dir / ("turn" + std::to_string(turn))).string();
    for (const uint32_t i : permutation(60, turn, RngPurpose::test, 0))
      write_file(folder + "/" + (i % 2 ? "a" : "\xc3\xa4") + std::to_string(i), "");
    const std::vector<std::string> raw = raw_order(folder);
    sorted_by_system = sorted_by_system && std::is_sorted(raw.begin(), raw.end());
    std::vector<std::string> found;
    for (const std::string& path : files_below(folder))
      found.push_back(path.substr(folder.size() + 1));
    EXPECT_TRUE(std::is_sorted(found.begin(), found.end()));
    if (turn == 0) first = found;
    EXPECT_EQ(found, first);
  }
  EXPECT_EQ(first.size(), 60u);
  if (sorted_by_system) GTEST_SKIP() << "this file system sorts by itself: the test shows nothing";
}

// B19
TEST(FolderWalk, many_files_and_nested_folders_need_few_descriptors) {
  FolderTree tree;
  for (int i = 0; i < 3000; ++i)
    tree.add({"train/bees/" + std::to_string(i % 100) + "/" + std::to_string(i) + ".jpg"});
  std::string deep = "train/ants";
  for (int i = 0; i < 16; ++i) tree.add({(deep += "/d") + "/1.jpg"});
  const std::string seen = in_child(false, [&] {
    const rlimit few = {64, 64};
    setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> used;
    for (int fd; used.size() < 50 && (fd = dup(0)) >= 0;) used.push_back(fd);
    return std::to_string(tree.scan().splits[0].samples.size());
  });
  EXPECT_EQ(seen, std::to_string(3000 + 6 + 16));
}

// B24
TEST(FolderWalk, lists_every_folder_that_cannot_be_read) {
  FolderTree tree;
  tree.add({"train/ants/secret/1.jpg", "val/bees/private/deep/1.jpg", "val/lost+found/x"});
  chmod(tree.path().c_str(), 0755);
  for (const char* name : {"train/ants/secret", "val/bees/private/deep", "val/lost+found"})
    chmod(tree.path(name).c_str(), 0);
  const std::string seen = in_child(true, [&] { return error_of([&] { tree.scan(); }); });
  for (const char* name : {"train/ants/secret", "val/bees/private/deep", "val/lost+found"})
    chmod(tree.path(name).c_str(), 0755);
  EXPECT_HAS(seen, "E2213");
  EXPECT_HAS(seen, "(2): " + tree.path("train/ants/secret") + " (Permission denied), ");
  EXPECT_HAS(seen, tree.path("val/bees/private/deep"));
}

}  // namespace ft::test
