// Classes and splits: one class list, matched by name, and every way in which folders can be wrong.
#include "io/dataset.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/io/folder_tree.h"

namespace ft::test {
namespace {

std::string scan_error(const ScanOptions& options) {
  return error_of([&] { scan(options); });
}
std::string scan_error(const FolderTree& tree) { return scan_error(tree.options()); }

std::string all_lines(const ScanNotes& notes) {
  std::string out;
  for (const std::string& line : notes.lines()) out += line + "\n";
  return out;
}

}  // namespace

TEST(Dataset, labels_are_places_in_the_sorted_list_of_training_folders) {
  FolderTree tree;
  tree.add({"train/Zebra/1.png", "val/Zebra/1.png", "test/Zebra/1.png", "test/ants/1.png",
            "test/bees/1.png"});
  const Dataset data = tree.scan();
  EXPECT_EQ(data.classes, (std::vector<std::string>{"Zebra", "ants", "bees"}));
  ASSERT_EQ(data.splits.size(), 3u);
  EXPECT_EQ(data.splits[2].name, "test");
  EXPECT_EQ(data.splits[2].root, tree.path("test"));
  EXPECT_EQ(tree.samples(data, "val"),
            (std::vector<std::string>{"val/Zebra/1.png:0", "val/ants/1.jpg:1", "val/ants/2.jpg:1",
                                      "val/ants/3.jpg:1", "val/bees/1.jpg:2", "val/bees/2.jpg:2",
                                      "val/bees/3.jpg:2"}));
  EXPECT_EQ(class_counts(*data.find("val"), 3), (std::vector<int64_t>{1, 3, 3}));
  EXPECT_EQ(data.find("dev"), nullptr);
}

TEST(Dataset, splits_may_lie_in_three_places) {
  FolderTree tree, other;
  ScanOptions options;
  options.train = tree.path("train");
  options.val = other.path("val");
  EXPECT_EQ(scan(options).splits.size(), 2u);
  options.data = tree.path();
  options.test = other.path("train");
  const Dataset data = scan(options);
  EXPECT_EQ(data.find("val")->root, other.path("val"));
  EXPECT_EQ(data.find("test")->root, other.path("train"));
}

// B01
TEST(Dataset, says_what_is_wrong_with_a_root) {
  FolderTree tree;
  tree.add({"file", "empty/", "hidden/.DS_Store"});
  ScanOptions options;
  options.data = tree.path("absent");
  EXPECT_HAS(scan_error(options), "E2201: " + tree.path("absent") + ": there is no such folder");
  options.data = tree.path("file");
  EXPECT_HAS(scan_error(options), "E2202");
  options.data = tree.path("empty");
  EXPECT_HAS(scan_error(options), "E2203");
  options.data = tree.path("hidden");
  EXPECT_HAS(scan_error(options), "empty but for hidden files");
  options.data = "";
  EXPECT_HAS(scan_error(options), "E2206: --data");
  options.val = tree.path("val");
  EXPECT_HAS(scan_error(options), "E2206: --data");
  options.train = tree.path("absent");
  EXPECT_HAS(scan_error(options), "E2201");
}

TEST(Dataset, an_unreadable_root_is_told_from_a_missing_one) {
  FolderTree tree;
  chmod(tree.path().c_str(), 0);
  const std::string seen = in_child(true, [&] { return scan_error(tree); });
  chmod(tree.path().c_str(), 0700);
  EXPECT_HAS(seen, "E2204: " + tree.path() + ": the folder cannot be read (Permission denied)");
}

TEST(Dataset, guesses_what_a_misnamed_split_was_meant_to_be) {
  for (const char* name : {"valid", "validation", "Val", "vla", "val_set", "dev"}) {
    FolderTree tree;
    tree.rename("val", name);
    const std::string seen = scan_error(tree);
    EXPECT_HAS(seen, "E2205: " + tree.path());
    EXPECT_HAS(seen, std::string(name) + " (did you mean val?)");
    EXPECT_HAS(seen, "--val");
  }
  FolderTree tree;
  tree.rename("train", "Training");
  tree.add({"tests/ants/1.jpg"});
  EXPECT_HAS(scan_error(tree), "Training (did you mean train?), tests (did you mean test?)");
}

TEST(Dataset, a_misnamed_optional_split_is_an_error_and_a_stranger_is_not) {
  FolderTree tree;
  tree.add({"labels/a.txt", "text/b.txt", "validation/x.jpg"});
  const std::string lines = all_lines(tree.scan().notes);
  EXPECT_HAS(lines, "3 folders ignored beside train, val and test: labels, text, validation");
  EXPECT_HAS(lines, "warning: the folder text (did you mean test?) is not read");
  tree.add({"Test/ants/1.jpg"});
  EXPECT_HAS(scan_error(tree), "E2205");
}

TEST(Dataset, tells_which_folders_there_are_instead_of_train_and_val) {
  FolderTree tree;
  ScanOptions options;
  options.data = tree.path("train");
  EXPECT_HAS(scan_error(options), "expected train and val");
  EXPECT_HAS(scan_error(options), "found the folders ants, bees");
}

// B02
TEST(Dataset, one_class_is_enough_to_evaluate_and_not_to_train) {
  FolderTree tree;
  tree.remove("train/bees");
  tree.remove("val/bees");
  EXPECT_HAS(scan_error(tree), "E2209: " + tree.path("train") + ": found one class only, ants");
  ScanOptions options = tree.options();
  options.for_training = false;
  options.expected_classes = {"ants"};
  EXPECT_EQ(scan(options).splits[1].samples.size(), 3u);
}

// B03
TEST(Dataset, lists_every_class_folder_without_an_image) {
  FolderTree tree;
  tree.add({"train/cats/", "train/dogs/readme.txt", "train/eels/.hidden.jpg"});
  const std::string seen = scan_error(tree);
  EXPECT_HAS(seen, "E2210");
  EXPECT_HAS(seen, "(3): " + tree.path("train/cats") + ", " + tree.path("train/dogs") + ", ");
}

TEST(Dataset, shows_twenty_faults_and_keeps_all) {
  FolderTree tree;
  for (int i = 10; i < 40; ++i) tree.add({"train/class" + std::to_string(i) + "/"});
  try {
    tree.scan();
    FAIL();
  } catch (const DatasetError& error) {
    EXPECT_EQ(error.items().size(), 30u);
    const std::string text = error.what();
    EXPECT_HAS(text, "class29, … 10 more");
    EXPECT_HAS_NOT(text, "class30");
  }
}

// B04
TEST(Dataset, a_class_without_validation_images_is_an_error_that_lists_both_sides) {
  FolderTree tree;
  tree.add({"train/aaa/1.jpg", "val/bees/"});
  tree.remove("val/ants");
  const std::string seen = scan_error(tree);
  EXPECT_HAS(seen, "E2215: " + tree.path("val"));
  EXPECT_HAS(seen, "train has 3 classes: aaa, ants, bees; without images here (2): aaa, ants");
  EXPECT_HAS(seen, "--allow-missing-classes");
  ScanOptions options = tree.options();
  options.allow_missing_classes = true;
  const Dataset data = scan(options);
  EXPECT_EQ(data.find("val")->samples[0].label, 2);
  EXPECT_HAS(all_lines(data.notes), "warning: val has no samples of aaa, ants");
}

// B05, B06
TEST(Dataset, an_unknown_class_is_an_error_with_a_guess) {
  FolderTree tree;
  tree.rename("val/ants", "val/Ants");
  ScanOptions options = tree.options();
  options.allow_missing_classes = true;  // must not turn a typing error into a missing class
  std::string seen = scan_error(options);
  EXPECT_HAS(seen, "E2211");
  EXPECT_HAS(seen, "Ants (did you mean ants?)");
  tree.rename("val/Ants", "val/antz");
  EXPECT_HAS(scan_error(options), "antz (did you mean ants?)");
  tree.rename("val/antz", "val/ants");
  tree.add({"val/whales/1.jpg"});
  seen = scan_error(options);
  EXPECT_HAS(seen, "does not know (1): whales;");
}

TEST(Dataset, a_models_classes_give_the_labels) {
  FolderTree tree;
  ScanOptions options = tree.options();
  options.for_training = false;
  options.expected_classes = {"bees", "wasps", "ants"};
  EXPECT_HAS(scan_error(options), "the network of the weights has 3 classes: bees, wasps, ants");
  options.allow_missing_classes = true;
  const Dataset data = scan(options);
  EXPECT_EQ(data.classes, options.expected_classes);
  EXPECT_EQ(class_counts(*data.find("val"), 3), (std::vector<int64_t>{3, 0, 3}));
  EXPECT_EQ(tree.samples(data, "val")[0], "val/ants/1.jpg:2");
  options.expected_classes = {"ants", "wasps"};
  EXPECT_HAS(scan_error(options), "the network of the weights does not know (1): bees");
  options.data = tree.path("train");
  EXPECT_HAS(scan_error(options), "expected at least one of train, val and test");
}

// B07
TEST(Dataset, hidden_things_are_skipped_and_listed) {
  FolderTree tree;
  tree.add({"train/.ipynb_checkpoints/a.jpg", "train/__MACOSX/._1.jpg", "val/lost+found/",
            "train/ants/.DS_Store", "train/ants/Thumbs.db", "train/ants/._1.jpg",
            "train/@eaDir/1.jpg", ".cache/x", "train/.DS_Store"});
  const Dataset data = tree.scan();
  EXPECT_EQ(data.classes.size(), 2u);
  EXPECT_EQ(data.splits[0].samples.size(), 6u);
  EXPECT_EQ(data.notes.walk.hidden.size(), 8u);
  EXPECT_HAS(all_lines(data.notes), "8 hidden files or folders skipped: ");
}

TEST(Dataset, a_class_that_is_hidden_in_one_split_is_named) {
  FolderTree tree;
  tree.add({"train/.bees/1.jpg", "train/.cache/x"});
  tree.remove("train/bees");
  tree.add({"train/wasps/1.jpg"});
  const std::string seen = scan_error(tree);
  EXPECT_HAS(seen, "E2211");
  EXPECT_HAS(seen, tree.path("train/.bees") + " is hidden and was skipped");
  EXPECT_EQ(seen.find(".cache"), std::string::npos);
}

// B10
TEST(Dataset, images_beside_class_folders_are_refused) {
  FolderTree tree;
  tree.add({"train/stray.JPG", "val/other.png", "train/list.txt", "train/LICENSE"});
  const std::string seen = scan_error(tree);
  EXPECT_HAS(seen, "E2207");
  EXPECT_HAS(seen, "(2): " + tree.path("train/stray.JPG") + ", " + tree.path("val/other.png"));
  tree.remove("train/stray.JPG");
  tree.remove("val/other.png");
  EXPECT_HAS(all_lines(tree.scan().notes),
             "2 files of other kinds skipped: 1 without extension, 1 txt");
}

TEST(Dataset, a_root_without_folders_is_refused) {
  FolderTree tree;
  tree.add({"none/LICENSE"});
  ScanOptions options = tree.options();
  options.test = tree.path("none");
  EXPECT_HAS(scan_error(options), "E2208: " + tree.path("none"));
}

// B16
TEST(Dataset, names_keep_their_bytes_and_look_alikes_are_told) {
  FolderTree tree;
  const std::string bytes = "\xff\xfe", escape_code = "a\x1b[31m\n", bidi = "x\xe2\x80\xae y";
  const std::string composed = "caf\xc3\xa9", decomposed = "cafe\xcc\x81";
  for (const std::string& name : {bytes, escape_code, bidi, composed, decomposed})
    for (const char* split : {"train/", "val/"}) tree.add({split + name + "/1.jpg"});
  const Dataset data = tree.scan();
  EXPECT_EQ(data.classes.size(), 7u);
  EXPECT_EQ(data.classes.back(), bytes);
  EXPECT_EQ(data.find("val")->samples.back().path, tree.path("val/" + bytes + "/1.jpg"));
  const std::string lines = all_lines(data.notes);
  EXPECT_HAS(lines, "class names that look alike: " + decomposed + ", " + composed);
  EXPECT_HAS(lines, "\\xff\\xfe (1)");
  EXPECT_HAS_NOT(lines, "\x1b");
  tree.remove("val/" + escape_code);
  EXPECT_HAS(scan_error(tree), "a\\x1b[31m\\x0a");
}

// B21
TEST(Dataset, small_and_unequal_classes_are_told) {
  FolderTree tree;
  EXPECT_HAS(all_lines(tree.scan().notes), "fewer than 5 images: ants (3), bees (3)");
  for (int i = 100; i < 127; ++i) tree.add({"train/bees/" + std::to_string(i) + ".jpg"});
  const std::string lines = all_lines(tree.scan().notes);
  EXPECT_HAS(lines, "fewer than 5 images: ants (3)\n");
  EXPECT_HAS(lines, "strong imbalance: 30 training images of bees, 3 of ants");
  tree.remove("train/bees/100.jpg");
  EXPECT_HAS_NOT(all_lines(tree.scan().notes), "imbalance");
}

TEST(Dataset, one_folder_used_twice_is_refused) {
  FolderTree tree;
  ScanOptions options = tree.options();
  options.test = tree.path("val/../val");
  EXPECT_HAS(scan_error(options), "E2214");
  options.allow_overlap = true;
  EXPECT_EQ(scan(options).splits.size(), 3u);
  tree.link("ants", "train/copy");
  tree.add({"val/copy/1.jpg"});
  EXPECT_HAS(scan_error(options), tree.path("train/copy") + " = " + tree.path("train/ants"));
}

TEST(Dataset, reads_real_photos) {
  if (photos().empty()) GTEST_SKIP() << "FT_PHOTOS names no folder with photos";
  ScanOptions options;
  options.data = photos().string();
  const Dataset data = scan(options);
  EXPECT_GE(data.classes.size(), 2u);
  EXPECT_GT(data.find("train")->samples.size(), 100u);
}

}  // namespace ft::test
