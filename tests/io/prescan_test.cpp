// The check of all files, what becomes of bad ones, and equal files.
#include "io/prescan.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "io/duplicates.h"
#include "tests/io/folder_tree.h"

namespace ft::test {
namespace {

// A file is bad if its name says so.
void check_name(const Sample& sample) {
  if (sample.path.find("bad") != std::string::npos)
    throw Error(2107, sample.path, "JPEG ends early", "replace it");
}

std::string prescan_error(const FolderTree& tree, const PrescanOptions& options,
                          const CheckFile& check = check_name) {
  return error_of([&] { prescan(tree.scan(), check, options); });
}

PrescanOptions skip(double max_bad, int threads = 1) {
  PrescanOptions options;
  options.policy = BadImages::skip;
  options.max_bad = max_bad;
  options.threads = threads;
  return options;
}

}  // namespace

TEST(Prescan, every_bad_file_of_every_split_is_listed) {
  FolderTree tree;
  tree.add({"train/ants/bad1.jpg", "train/bees/0bad.jpg", "val/ants/bad.gif"});
  tree.link("nowhere", "val/bees/dangling.jpg");
  for (const int threads : {0, 1, 2, 5}) {
    PrescanOptions options;
    options.threads = threads;
    const std::string seen = prescan_error(tree, options);
    EXPECT_HAS(seen, "E2220: " + tree.path("train") + ": files that are not usable images (4): " +
                         tree.path("train/ants/bad1.jpg") + ": JPEG ends early (E2107), " +
                         tree.path("train/bees/0bad.jpg") + ": JPEG ends early (E2107), " +
                         tree.path("val/ants/bad.gif") + ": JPEG ends early (E2107), " +
                         tree.path("val/bees/dangling.jpg") + ": a link that leads nowhere");
    EXPECT_HAS(seen, "--bad-images=skip");
  }
}

TEST(Prescan, a_single_bad_file_is_named_first) {
  FolderTree tree;
  tree.add({"train/ants/bad.jpg"});
  EXPECT_HAS(prescan_error(tree, {}), "E2220: " + tree.path("train/ants/bad.jpg") + ": JPEG ends");
}

TEST(Prescan, twenty_are_shown_and_all_are_kept) {
  FolderTree tree;
  for (int i = 100; i < 125; ++i) tree.add({"train/ants/bad" + std::to_string(i) + ".jpg"});
  try {
    prescan(tree.scan(), check_name, {});
    FAIL();
  } catch (const DatasetError& error) {
    EXPECT_EQ(error.items().size(), 25u);
    EXPECT_HAS(error.seen(), "… 5 more");
    EXPECT_HAS_NOT(error.seen(), "bad120");
  }
}

TEST(Prescan, skipping_keeps_order_labels_and_a_list) {
  FolderTree tree;
  tree.add({"train/ants/2bad.jpg", "train/bees/bad.jpg"});
  ASSERT_EQ(mkfifo(tree.path("train/ants/fifo.jpg").c_str(), 0600), 0);
  for (const int threads : {1, 4}) {
    const Prescanned seen = prescan(tree.scan(), check_name, skip(0.5, threads));
    EXPECT_EQ(tree.samples(seen.data, "train"),
              (std::vector<std::string>{"train/ants/1.jpg:0", "train/ants/2.jpg:0",
                                        "train/ants/3.jpg:0", "train/bees/1.jpg:1",
                                        "train/bees/2.jpg:1", "train/bees/3.jpg:1"}));
    ASSERT_EQ(seen.skipped.size(), 3u);
    EXPECT_EQ(seen.skipped[0].path, tree.path("train/ants/2bad.jpg"));
    EXPECT_EQ(seen.skipped[0].number, 2107);
    EXPECT_EQ(seen.skipped[1].reason, "a FIFO, not a file");
    EXPECT_EQ(seen.skipped[2].path, tree.path("train/bees/bad.jpg"));
    EXPECT_TRUE(seen.data.splits[0].unusable.empty());
  }
}

TEST(Prescan, skipping_has_a_limit_a_split) {
  FolderTree tree;
  tree.add({"val/ants/bad.jpg"});  // 1 of 7 in val, 1 of 13 in all
  const std::string seen = prescan_error(tree, skip(0.1));
  EXPECT_HAS(seen, "E2221: " + tree.path("val") +
                       ": 14.29 % of the files are bad, --max-bad allows 10.00 %");
  EXPECT_HAS(seen, "raise --max-bad to 14.29 or more");
  EXPECT_EQ(prescan(tree.scan(), check_name, skip(0.15)).skipped.size(), 1u);
  EXPECT_HAS(prescan_error(tree, skip(0)), "E2221");
}

TEST(Prescan, every_split_over_the_limit_is_told_at_once) {
  FolderTree tree;
  tree.add({"train/ants/bad.jpg", "val/ants/bad.jpg"});
  const std::string seen = prescan_error(tree, skip(0.1));
  EXPECT_HAS(seen, "of the files are bad and 14.29 % of " + tree.path("val"));
  EXPECT_HAS(seen, tree.path("train/ants/bad.jpg"));
  EXPECT_HAS(seen, tree.path("val/ants/bad.jpg"));
  EXPECT_HAS(seen, "raise --max-bad to 14.29 or more");
}

TEST(Prescan, the_limit_itself_is_allowed) {
  FolderTree tree;
  tree.add({"val/ants/bad1.jpg", "val/ants/bad2.jpg"});  // 2 of 8, exact in binary
  EXPECT_EQ(prescan_error(tree, skip(0.25)), "");
  EXPECT_HAS(prescan_error(tree, skip(0.2499)), "E2221");
}

TEST(Prescan, the_limit_that_the_message_names_is_enough) {
  FolderTree tree;
  tree.remove("val/ants");
  tree.add({"val/ants/bad1.jpg", "val/ants/bad2.jpg", "val/ants/good.jpg"});  // 2 of 6
  EXPECT_HAS(prescan_error(tree, skip(0.1)), "raise --max-bad to 33.34 or more");
  EXPECT_EQ(prescan_error(tree, skip(0.3334)), "");
}

TEST(Prescan, a_class_must_not_lose_all_its_images) {
  FolderTree tree;
  tree.add({"train/cats/bad.jpg", "val/cats/1.jpg", "train/dogs/1.jpg", "val/dogs/bad.jpg"});
  PrescanOptions options = skip(1);
  EXPECT_HAS(prescan_error(tree, options),
             "E2222: " + tree.path("train") + ": classes with nothing but bad images (1): cats");
  tree.add({"train/cats/1.jpg"});
  EXPECT_HAS(prescan_error(tree, options), "(1): dogs");
  options.allow_missing_classes = true;
  const Prescanned seen = prescan(tree.scan(), check_name, options);
  EXPECT_EQ(seen.data.notes.warnings.back(), "val has no good samples of dogs");
}

TEST(Prescan, other_failures_are_not_bad_images) {
  FolderTree tree;
  for (const int threads : {1, 2, 6}) {
    PrescanOptions options = skip(1, threads);
    const CheckFile check = [](const Sample& sample) {
      if (sample.path.ends_with("val/ants/1.jpg") || sample.path.ends_with("val/bees/3.jpg")) {
        if (sample.path.ends_with("1.jpg"))
          std::this_thread::sleep_for(std::chrono::milliseconds(2));
        throw Error(5030, sample.path, "the medium fails", "check the disk");
      }
    };
    EXPECT_HAS(prescan_error(tree, options, check), "E5030: " + tree.path("val/ants/1.jpg"));
    EXPECT_THROW(prescan(
                     tree.scan(), [](const Sample&) { throw std::bad_alloc(); }, options),
                 std::bad_alloc);
  }
}

TEST(Prescan, progress_comes_on_the_calling_thread_and_ends_complete) {
  for (const int threads : {1, 3}) {
    FolderTree tree;
    std::vector<int64_t> seen;
    PrescanOptions options;
    options.threads = threads;
    options.progress = [&, caller = std::this_thread::get_id()](int64_t done, int64_t total) {
      EXPECT_EQ(std::this_thread::get_id(), caller);
      EXPECT_EQ(total, 12);
      seen.push_back(done);
    };
    const CheckFile slow = [](const Sample&) {
      std::this_thread::sleep_for(std::chrono::milliseconds(60));
    };
    prescan(tree.scan(), slow, options);
    EXPECT_GT(seen.size(), 1u);
    EXPECT_TRUE(std::is_sorted(seen.begin(), seen.end()));
    EXPECT_EQ(seen.back(), 12);
  }
}

TEST(ParallelFor, does_everything_once) {
  for (const int threads : {0, 1, 2, 7}) {
    std::vector<int> done(1000);
    parallel_for(1000, threads, [&](int64_t i) { ++done[static_cast<size_t>(i)]; });
    EXPECT_EQ(done, std::vector<int>(1000, 1));
  }
  parallel_for(0, 4, [](int64_t) { FAIL(); });
}

TEST(ParallelFor, rethrows_the_first_failure_in_order) {
  for (int turn = 0; turn < 200; ++turn) {
    try {
      parallel_for(100, 1 + turn % 8, [&](int64_t i) {
        if (i == 30) std::this_thread::sleep_for(std::chrono::microseconds(turn));
        if (i >= 30 && i % 3 == 0) throw i;
      });
      FAIL();
    } catch (const int64_t i) {
      EXPECT_EQ(i, 30);
    }
  }
}

// B12, B13, B14
TEST(Duplicates, are_found_in_a_class_between_classes_and_between_splits) {
  FolderTree tree;
  const auto copy = [&](const char* from, const char* to) {
    write_file(tree.path(to), read_file(tree.path(from)));
  };
  EXPECT_TRUE(find_duplicates(tree.scan(), 1).in_one_class.empty());
  copy("train/ants/1.jpg", "train/ants/copy.jpg");
  copy("train/ants/2.jpg", "train/bees/copy.jpg");
  copy("train/bees/1.jpg", "val/bees/copy.jpg");
  tree.add({"train/ants/same_size.jpg"});
  write_file(tree.path("train/ants/empty1.jpg"), "");
  write_file(tree.path("train/bees/empty2.jpg"), "");
  const Dataset data = tree.scan();
  for (const int threads : {1, 3}) {
    const Duplicates found = find_duplicates(data, threads);
    EXPECT_EQ(found.in_one_class, (std::vector<SameFiles>{{tree.path("train/ants/1.jpg"),
                                                           tree.path("train/ants/copy.jpg")}}));
    EXPECT_EQ(found.between_classes, (std::vector<SameFiles>{{tree.path("train/ants/2.jpg"),
                                                              tree.path("train/bees/copy.jpg")}}));
    EXPECT_EQ(
        found.between_splits,
        (std::vector<SameFiles>{{tree.path("train/bees/1.jpg"), tree.path("val/bees/copy.jpg")}}));
  }
}

TEST(Duplicates, are_judged_by_where_they_are) {
  ScanNotes notes;
  Duplicates found;
  judge_duplicates(found, false, &notes);
  found.in_one_class = {{"a", "b", "c"}};
  judge_duplicates(found, false, &notes);
  ASSERT_EQ(notes.warnings.size(), 1u);
  EXPECT_EQ(notes.warnings[0], "1 picture is more than once in its class: a = b = c");
  found.between_splits = {{"t", "v"}};
  EXPECT_HAS(error_of([&] { judge_duplicates(found, false, &notes); }),
             "E2227: dataset: the same picture in two splits (1): t = v; ");
  judge_duplicates(found, true, &notes);
  EXPECT_HAS(notes.warnings[1], "results on it are contaminated: t = v");
  found.between_classes = {{"x", "y"}};
  EXPECT_HAS(error_of([&] { judge_duplicates(found, true, &notes); }), "E2226");
}

TEST(Duplicates, a_file_that_cannot_be_read_is_an_error) {
  FolderTree tree;
  Dataset data = tree.scan();
  chmod(tree.path().c_str(), 0755);
  chmod(tree.path("train/ants/1.jpg").c_str(), 0);
  const std::string seen =
      in_child(true, [&] { return error_of([&] { find_duplicates(data, 1); }); });
  EXPECT_HAS(seen, "E2234: " + tree.path("train/ants/1.jpg"));
}

}  // namespace ft::test
