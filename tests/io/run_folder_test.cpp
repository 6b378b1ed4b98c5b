// The output folder: made, locked, and kept from other runs.
#include "io/run_folder.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <thread>
#include <vector>

#include "tensor/error.h"
#include "tests/io/file_faults.h"
#include "tests/io/folder_tree.h"
#include "tests/support/support.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

int number_of(const fs::path& path, bool force = false, std::vector<fs::path> inputs = {}) {
  try {
    make_run_folder(path, force, inputs);
  } catch (const Error& e) {
    return e.number();
  }
  return 0;
}

TEST(RunFolder, is_made_with_its_parents) {
  test::TempDir dir;
  const RunFolder folder = make_run_folder(dir / "runs/today/a", false);
  EXPECT_TRUE(fs::is_directory(dir / "runs/today/a"));
  EXPECT_TRUE(folder.locked());
  EXPECT_EQ(folder / "run.toml", dir / "runs/today/a/run.toml");
}

TEST(RunFolder, another_run_is_refused_unless_forced_and_nothing_is_deleted) {
  test::TempDir dir;
  for (const std::string name : {"run.toml", "last.h5"}) {
    test::write_file(dir / name / name, "kept");
    EXPECT_EQ(number_of(dir / name), 2072);
    EXPECT_EQ(number_of(dir / name, true), 0);
    EXPECT_EQ(test::read_file(dir / name / name), "kept");
  }
  test::write_file(dir / "other/notes.txt", "x");
  EXPECT_EQ(number_of(dir / "other"), 0);
}

TEST(RunFolder, is_judged_before_it_is_made) {
  test::TempDir dir;
  const auto number = [&](const std::string& name, bool force = false) {
    const std::vector<fs::path> inputs{dir / "data"};
    const std::string seen = test::error_of([&] { refuse_run_folder(dir / name, force, inputs); });
    return seen.substr(0, 5);
  };
  test::write_file(dir / "file", "x");
  test::write_file(dir / "old/run.toml", "x");
  fs::create_directories(dir / "data");
  EXPECT_EQ(number("new"), "");
  EXPECT_FALSE(fs::exists(dir / "new"));
  EXPECT_EQ(number("file"), "E2070");
  EXPECT_EQ(number("data/run"), "E2071");
  EXPECT_EQ(number("old"), "E2072");
  EXPECT_EQ(number("old", true), "");
}

TEST(RunFolder, file_in_the_way_and_dataset_are_refused) {
  test::TempDir dir;
  test::write_file(dir / "file", "x");
  fs::create_directories(dir / "data/train");
  fs::create_directory_symlink(dir / "data", dir / "alias");
  EXPECT_EQ(number_of(dir / "file"), 2070);
  EXPECT_EQ(number_of(dir / "file/run"), 5016);
  EXPECT_EQ(number_of("/proc/run"), 5005);  // not 5006, which says to make the folder
  const std::vector<fs::path> data = {dir / "data"};
  EXPECT_EQ(number_of(dir / "data", false, data), 2071);
  EXPECT_EQ(number_of(dir / "data/train/../out", false, data), 2071);
  EXPECT_EQ(number_of(dir / "alias/out", false, data), 2071);
  EXPECT_EQ(number_of(dir / "data/x", false, {dir.path() / "data/"}), 2071);
  EXPECT_EQ(number_of(dir / "data2", false, data), 0);
  EXPECT_FALSE(fs::exists(dir / "data/out"));
}

TEST(RunFolder, the_lock_file_goes_with_its_owner_and_one_that_has_gone_is_no_lock) {
  test::TempDir dir;
  {
    RunFolder first = make_run_folder(dir / "a", false);
    const RunFolder moved = std::move(first);
    EXPECT_TRUE(fs::exists(dir / "a/.ftrun.lock"));
    EXPECT_TRUE(moved.locked());
  }
  EXPECT_FALSE(fs::exists(dir / "a/.ftrun.lock"));
  // Many at once: whoever gets the folder is alone in it.
  int inside = 0, most = 0;
  std::mutex mutex;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        try {
          const RunFolder folder = make_run_folder(dir / "a", false);
          const auto count = [&](int by) {
            const std::lock_guard guard(mutex);
            most = std::max(most, inside += by);
          };
          count(1);
          std::this_thread::yield();
          count(-1);
        } catch (const Error& e) {
          EXPECT_EQ(e.number(), 2073) << e.line();
        }
      }
    });
  threads.clear();
  EXPECT_EQ(most, 1);
}

// As a plain user: root sees everything, and becomes one for this.
TEST(RunFolder, a_folder_behind_one_without_permission_is_told_as_that) {
  test::TempDir dir;
  fs::create_directories(dir / "closed/inner");
  fs::permissions(dir.path(), fs::perms::all);
  fs::permissions(dir / "closed", fs::perms::none);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(2);
    ::_exit(number_of(dir / "closed/inner/run") == 5005 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  fs::permissions(dir / "closed", fs::perms::owner_all);
  EXPECT_EQ(status, 0);
}

TEST(RunFolder, too_little_space_is_told_with_both_numbers) {
  test::TempDir dir;
  EXPECT_NO_THROW(require_space(dir.path(), 1));
  try {
    require_space(dir.path(), uint64_t{1} << 60);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 5017);
    EXPECT_NE(e.line().find("may write 1099511627776 MiB"), std::string::npos) << e.line();
  }
  // What will be replaced counts.
  test::write_file(dir / "best.h5", std::string(1000, 'x'));
  EXPECT_NO_THROW(require_space(dir.path(), 1000, {"best.h5", "last.h5"}));
}

TEST(RunFolder, second_run_is_refused_while_the_first_lives_even_with_force) {
  test::TempDir dir;
  {
    const RunFolder first = make_run_folder(dir / "a", false);
    try {
      make_run_folder(dir / "a", true);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.number(), 2073);
      EXPECT_NE(e.line().find(std::to_string(::getpid())), std::string::npos) << e.line();
    }
  }
  EXPECT_EQ(number_of(dir / "a"), 0);
}

TEST(RunFolder, lock_dies_with_its_owner) {
  test::TempDir dir;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const RunFolder folder = make_run_folder(dir / "a", false);
    if (::write(ready[1], "x", 1) == 1) ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(number_of(dir / "a"), 2073);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  EXPECT_EQ(number_of(dir / "a"), 0);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST(RunFolder, debris_of_a_killed_run_is_removed) {
  test::TempDir dir;
  test::write_file(dir / "a/.ftrun-5-0000000000000001.tmp", "half a checkpoint");
  EXPECT_EQ(number_of(dir / "a"), 0);
  EXPECT_FALSE(fs::exists(dir / "a/.ftrun-5-0000000000000001.tmp"));
}

TEST(RunFolder, file_system_without_locks_is_accepted_and_says_so) {
  test::TempDir dir;
  const test::FileFaults faults({test::FaultPlan::Mode::error_from, 0, ENOLCK, "flock"});
  EXPECT_FALSE(make_run_folder(dir / "a", false).locked());
}

TEST(RunFolder, folder_that_cannot_be_written_is_found_at_once) {
  test::TempDir dir;
  const test::FileFaults faults({test::FaultPlan::Mode::error_from, 0, EROFS, "open"});
  EXPECT_EQ(number_of(dir / "a"), 5004);
}

TEST(RunFolder, a_file_size_limit_is_told_before_the_work) {
  test::TempDir dir;
  const std::string seen = test::in_child(false, [&] {
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    require_file_size(dir / "best.h5", 4096);
    return test::error_of([&] { require_file_size(dir / "best.h5", 4097); });
  });
  EXPECT_NE(seen.find("E5003"), std::string::npos) << seen;
  EXPECT_NE(seen.find("best.h5"), std::string::npos) << seen;
}

}  // namespace
}  // namespace ft
