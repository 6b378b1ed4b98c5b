// The door for files that must survive: every fault leaves the old or the new content.
#include "io/atomic_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>

#include "io/unique_fd.h"
#include "tensor/error.h"
#include "tests/io/file_faults.h"
#include "tests/support/support.h"

namespace ft {
namespace {

namespace fs = std::filesystem;
using test::FaultPlan;
using Mode = test::FaultPlan::Mode;

const std::string kOld(3000, 'o');
const std::string kNew(5000, 'n');

// 0 on success, else the number of the Error.
int number_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.number();
  }
  return 0;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

// Runs `action` in a child; returns its wait status.
int in_child(const std::function<int()>& action) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(action());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return status;
}

int calls_of_one_write(const fs::path& path) {
  test::FileFaults count({});
  write_atomically(path, kNew);
  return static_cast<int>(count.calls().size());
}

TEST(AtomicFile, writes_and_replaces_and_leaves_nothing_else) {
  test::TempDir dir;
  write_atomically(dir / "a.txt", kOld);
  EXPECT_EQ(test::read_file(dir / "a.txt"), kOld);
  write_atomically(dir / "a.txt", kNew);
  EXPECT_EQ(test::read_file(dir / "a.txt"), kNew);
  write_atomically(dir / "empty", "");
  EXPECT_EQ(fs::file_size(dir / "empty"), 0u);
  EXPECT_EQ(names_in(dir.path()).size(), 2u);
}

TEST(AtomicFile, large_content_survives) {
  test::TempDir dir;
  std::string bytes(5'000'001, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  write_atomically(dir / "big", bytes);
  EXPECT_TRUE(test::read_file(dir / "big") == bytes);
}

TEST(AtomicFile, works_relative_to_the_current_folder_and_with_the_longest_name) {
  test::TempDir dir;
  const fs::path before = fs::current_path();
  fs::current_path(dir.path());
  write_atomically("plain.txt", kNew);
  fs::current_path(before);
  EXPECT_EQ(test::read_file(dir / "plain.txt"), kNew);
  write_atomically(dir / std::string(255, 'x'), kNew);
  EXPECT_EQ(number_of([&] { write_atomically(dir / std::string(256, 'x'), kNew); }), 5009);
}

TEST(AtomicFile, replaces_the_target_of_a_symlink_and_keeps_the_link) {
  test::TempDir dir;
  fs::create_directory(dir / "real");
  fs::create_symlink("real/file", dir / "link");
  fs::create_symlink("link", dir / "link2");
  write_atomically(dir / "link2", kOld);  // dangling so far
  write_atomically(dir / "link2", kNew);
  EXPECT_TRUE(fs::is_symlink(dir / "link") && fs::is_symlink(dir / "link2"));
  EXPECT_EQ(test::read_file(dir / "real/file"), kNew);
  EXPECT_EQ(names_in(dir / "real").size(), 1u);
  fs::create_symlink("loop", dir / "loop");
  EXPECT_EQ(number_of([&] { write_atomically(dir / "loop", kNew); }), 5010);
}

TEST(AtomicFile, keeps_the_permission_bits_of_an_existing_file) {
  test::TempDir dir;
  write_atomically(dir / "a", kOld);
  ASSERT_EQ(::chmod((dir / "a").c_str(), 0640), 0);
  write_atomically(dir / "a", kNew);
  struct stat info{};
  ASSERT_EQ(::stat((dir / "a").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(AtomicFile, works_under_a_umask_that_forbids_everything) {
  test::TempDir dir;
  const mode_t before = ::umask(0777);
  const int number = number_of([&] { write_atomically(dir / "a", kNew); });
  ::umask(before);
  EXPECT_EQ(number, 0);
  EXPECT_EQ(fs::file_size(dir / "a"), kNew.size());
}

TEST(AtomicFile, names_what_stands_in_the_way) {
  test::TempDir dir;
  fs::create_directory(dir / "folder");
  test::write_file(dir / "file", kOld);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "folder", kNew); }), 5007);
  EXPECT_EQ(number_of([&] { write_atomically(dir.path() / "folder/", kNew); }), 5007);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "none/a", kNew); }), 5006);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "file/a", kNew); }), 5016);
  EXPECT_EQ(number_of([&] { write_atomically("/dev/full", kNew); }), 5008);
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0666), 0);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "fifo", kNew); }), 5008);
  try {
    write_atomically(dir / "none/a", kNew);
  } catch (const Error& e) {
    EXPECT_EQ(e.status(), ExitStatus::output);
    EXPECT_NE(e.line().find("none/a"), std::string::npos);
    EXPECT_NE(e.line().find("create the folder"), std::string::npos);
  }
}

TEST(AtomicFile, read_only_folder_and_file_are_refused) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere: run as a plain user";
  test::TempDir dir;
  fs::create_directory(dir / "ro");
  test::write_file(dir / "ro/a", kOld);
  test::write_file(dir / "b", kOld);
  ASSERT_EQ(::chmod((dir / "ro").c_str(), 0555), 0);
  ASSERT_EQ(::chmod((dir / "b").c_str(), 0444), 0);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "ro/a", kNew); }), 5005);
  EXPECT_EQ(number_of([&] { write_atomically(dir / "b", kNew); }), 5005);
  EXPECT_EQ(test::read_file(dir / "ro/a") + test::read_file(dir / "b"), kOld + kOld);
  ::chmod((dir / "ro").c_str(), 0755);
}

TEST(AtomicFile, file_size_limit_is_an_error_and_leaves_the_old_file) {
  test::TempDir dir;
  test::write_file(dir / "a", kOld);
  const int status = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    return number_of([&] { write_atomically(dir / "a", kNew); }) == 5003 ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(test::read_file(dir / "a"), kOld);
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
}

TEST(AtomicFile, really_full_disk_is_an_error_and_leaves_the_old_file) {
  test::TempDir dir;
  if (::mount("none", dir.path().c_str(), "tmpfs", 0, "size=16k") != 0)
    GTEST_SKIP() << "needs the right to mount a small tmpfs: " << std::strerror(errno);
  write_atomically(dir / "a", kOld);
  const int number = number_of([&] { write_atomically(dir / "a", std::string(40'000, 'n')); });
  const std::string content = test::read_file(dir / "a");
  const size_t files = names_in(dir.path()).size();
  ::umount(dir.path().c_str());
  EXPECT_EQ(number, 5001);
  EXPECT_EQ(content, kOld);
  EXPECT_EQ(files, 1u);
}

TEST(AtomicFile, too_few_descriptors_and_a_thousand_saves) {
  test::TempDir dir;
  const int status = in_child([&] {
    const rlimit limit{64, 64};
    ::setrlimit(RLIMIT_NOFILE, &limit);
    for (int i = 0; i < 1000; ++i)
      if (number_of([&] { write_atomically(dir / "a", "x"); }) != 0) return 1;
    const rlimit none{3, 3};
    ::setrlimit(RLIMIT_NOFILE, &none);
    return number_of([&] { write_atomically(dir / "a", "x"); }) == 5015 ? 0 : 2;
  });
  EXPECT_EQ(status, 0);
}

// Every call of one save, each failing once and from then on, with each cause.
class AtomicFileErrors : public testing::TestWithParam<std::tuple<int, bool>> {};

TEST_P(AtomicFileErrors, old_or_new_content_and_no_debris) {
  const auto [error, sticky] = GetParam();
  test::TempDir dir;
  test::write_file(dir / "a", kOld);
  const int calls = calls_of_one_write(dir / "b");
  ASSERT_GT(calls, 8);
  for (int n = 0; n < calls + 3; ++n) {
    test::write_file(dir / "a", kOld);
    int number = 0;
    {
      const test::FileFaults faults({sticky ? Mode::error_from : Mode::error, n, error, ""});
      number = number_of([&] { write_atomically(dir / "a", kNew); });
    }
    const std::string content = test::read_file(dir / "a");
    const bool new_in_place = number == 0 || number == 5013;
    EXPECT_EQ(content == kNew, new_in_place) << "call " << n << " E" << number;
    EXPECT_EQ(content == kOld, !new_in_place) << "call " << n << " E" << number;
    EXPECT_TRUE(number == 0 || number / 1000 == 5) << "call " << n;
    // With everything failing from here on the temp file cannot be removed either; the next run
    // does.
    if (sticky) remove_stale_temps(dir.path());
    EXPECT_EQ(names_in(dir.path()).size(), 2u) << "call " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Causes, AtomicFileErrors,
                         testing::Combine(testing::Values(EIO, ENOSPC, EDQUOT, EROFS, ESTALE),
                                          testing::Bool()));

TEST(AtomicFile, errno_of_a_write_becomes_its_number) {
  test::TempDir dir;
  const std::pair<int, int> cases[] = {{ENOSPC, 5001}, {EDQUOT, 5002}, {EFBIG, 5003},
                                       {EROFS, 5004},  {EIO, 5011},    {ESTALE, 5014}};
  for (const auto& [error, number] : cases) {
    const test::FileFaults faults({Mode::error_from, 0, error, "write"});
    EXPECT_EQ(number_of([&] { write_atomically(dir / "a", kNew); }), number) << error;
  }
  EXPECT_TRUE(names_in(dir.path()).empty());
}

TEST(AtomicFile, full_disk_once_is_tried_again_after_removing_debris) {
  test::TempDir dir;
  test::write_file(dir / ".ftrun-1-0123456789abcdef.tmp", "left by a killed process");
  {
    const test::FileFaults faults({Mode::error, 0, ENOSPC, "write"});
    write_atomically(dir / "a", kNew);
  }
  EXPECT_EQ(test::read_file(dir / "a"), kNew);
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
}

TEST(AtomicFile, failed_fsync_is_never_asked_again) {
  test::TempDir dir;
  const test::FileFaults faults({Mode::error, 0, EIO, "fsync"});
  EXPECT_EQ(number_of([&] { write_atomically(dir / "a", kNew); }), 5011);
  EXPECT_EQ(std::count(faults.calls().begin(), faults.calls().end(), "fsync"), 1);
}

TEST(AtomicFile, failed_folder_sync_says_that_the_new_file_is_in_place) {
  test::TempDir dir;
  {
    const test::FileFaults faults({Mode::error, 1, EIO, "fsync"});
    EXPECT_EQ(number_of([&] { write_atomically(dir / "a", kNew); }), 5013);
  }
  EXPECT_EQ(test::read_file(dir / "a"), kNew);
  const test::FileFaults faults({Mode::error, 1, EINVAL, "fsync"});  // no such notion: no fault
  EXPECT_EQ(number_of([&] { write_atomically(dir / "a", kNew); }), 0);
}

TEST(AtomicFile, short_writes_reads_and_interruptions_are_invisible) {
  test::TempDir dir;
  for (const char* call : {"write", "pread"}) {
    const test::FileFaults faults({Mode::short_count, 0, 0, call});
    write_atomically(dir / call, kNew);
  }
  for (const char* call : {"open", "openat", "write", "pread", "fsync", "flock"}) {
    const test::FileFaults faults({Mode::error, 0, EINTR, call});
    write_atomically(dir / call, kNew);
  }
  for (const std::string& name : names_in(dir.path()))
    EXPECT_EQ(test::read_file(dir / name), kNew) << name;
}

TEST(AtomicFile, works_where_the_file_system_has_no_locks) {
  test::TempDir dir;
  const test::FileFaults faults({Mode::error_from, 0, ENOLCK, "flock"});
  write_atomically(dir / "a", kNew);
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
}

TEST(AtomicFile, killed_at_any_call_leaves_the_old_or_the_new_file) {
  test::TempDir dir;
  const int calls = calls_of_one_write(dir / "a");
  for (const Mode mode : {Mode::kill, Mode::kill_half}) {
    for (int n = 0; n < calls; ++n) {
      write_atomically(dir / "a", kOld);
      const int status = in_child([&] {
        const test::FileFaults faults({mode, n, 0, ""});
        write_atomically(dir / "a", kNew);
        return 0;
      });
      const bool finished = WIFEXITED(status);
      EXPECT_TRUE(finished || WTERMSIG(status) == SIGKILL);
      const std::string content = test::read_file(dir / "a");
      EXPECT_TRUE(content == kNew || (content == kOld && !finished)) << "call " << n;
      remove_stale_temps(dir.path());
      EXPECT_EQ(names_in(dir.path()).size(), 1u) << "call " << n;
    }
  }
}

TEST(AtomicFile, debris_of_the_dead_is_removed_and_of_the_living_is_not) {
  test::TempDir dir;
  const fs::path dead = dir / ".ftrun-7-00000000000000ab.tmp";
  const fs::path alive = dir / ".ftrun-8-00000000000000ab.tmp";
  for (const fs::path& path : {dead, alive, dir / ".ftrun-.tmp", dir / "user.tmp"})
    test::write_file(path, "x");
  const UniqueFd holder(::open(alive.c_str(), O_RDWR));
  ASSERT_EQ(::flock(holder.get(), LOCK_EX), 0);
  EXPECT_EQ(remove_stale_temps(dir.path()), 1);
  EXPECT_FALSE(fs::exists(dead));
  EXPECT_EQ(names_in(dir.path()).size(), 3u);
  EXPECT_EQ(remove_stale_temps(dir / "none"), 0);
}

TEST(AtomicFile, threads_writing_one_file_leave_one_of_the_contents) {
  test::TempDir dir;
  {
    std::vector<std::jthread> threads;
    for (char c = 'a'; c < 'e'; ++c)
      threads.emplace_back([&dir, c] {
        for (int i = 0; i < 20; ++i) {
          write_atomically(dir / "a", std::string(2000, c));
          remove_stale_temps(dir.path());  // of the others: all alive
        }
      });
  }
  const std::string content = test::read_file(dir / "a");
  EXPECT_EQ(content, std::string(2000, content.at(0)));
  EXPECT_EQ(names_in(dir.path()).size(), 1u);
}

}  // namespace
}  // namespace ft
