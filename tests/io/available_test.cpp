// What may still be used, read from drawn copies of the system's files.
#include "io/available.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/io/folder_tree.h"
#include "tests/support/support.h"

namespace ft::test {
namespace {

namespace fs = std::filesystem;

struct System {
  TempDir dir;
  void add(const std::string& name, const std::string& text) {
    fs::create_directories((dir / name).parent_path());
    write_file(dir / name, text);
  }
};

TEST(Available, memory_is_what_the_system_calls_available) {
  System system;
  EXPECT_EQ(available_memory(system.dir.path()), 0u);
  system.add("proc/meminfo", "MemTotal: 900 kB\nMemFree: 1 kB\nMemAvailable:  500 kB\n");
  EXPECT_EQ(available_memory(system.dir.path()), 500u * 1024);
}

TEST(Available, memory_is_bounded_by_the_group_and_those_above_it) {
  System system;
  system.add("proc/meminfo", "MemAvailable: 500 kB\n");
  system.add("proc/self/cgroup", "0::/a/b\n");
  system.add("sys/fs/cgroup/a/b/memory.max", "max\n");
  system.add("sys/fs/cgroup/a/b/memory.current", "10\n");
  EXPECT_EQ(available_memory(system.dir.path()), 500u * 1024);
  system.add("sys/fs/cgroup/a/memory.max", "300000\n");
  system.add("sys/fs/cgroup/a/memory.current", "150000\n");
  EXPECT_EQ(available_memory(system.dir.path()), 150000u);
  system.add("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50000\nfile 3\n");
  EXPECT_EQ(available_memory(system.dir.path()), 200000u);
  system.add("sys/fs/cgroup/a/memory.current", "900000\n");
  EXPECT_EQ(available_memory(system.dir.path()), 0u);
}

TEST(Available, memory_knows_groups_of_version_1) {
  System system;
  system.add("proc/meminfo", "MemAvailable: 500 kB\n");
  system.add("proc/self/cgroup", "7:cpu:/x\n4:hugetlb,memory:/job\n0::/\n");
  system.add("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  system.add("sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n");
  EXPECT_EQ(available_memory(system.dir.path()), 500u * 1024);
  system.add("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "70000\n");
  system.add("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "40000\n");
  EXPECT_EQ(available_memory(system.dir.path()), 30000u);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they take all addresses
TEST(Available, memory_is_bounded_by_the_address_space_left) {
  System system;
  system.add("proc/meminfo", "MemAvailable: 9999999999 kB\n");
  system.add("proc/self/statm", "1000 500 1 1 0 1 0\n");
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const std::string seen = in_child(false, [&] {
    const rlimit limit{size_t{1} << 40, size_t{1} << 40};
    ::setrlimit(RLIMIT_AS, &limit);
    return std::to_string(available_memory(system.dir.path()));
  });
  EXPECT_EQ(seen, std::to_string((size_t{1} << 40) - 1000 * page));
}
#endif

TEST(Available, this_machine_answers) {
  EXPECT_GT(available_memory(), 0u);
  TempDir dir;
  EXPECT_GT(available_disk(dir.path()).value_or(0), 0u);
  EXPECT_EQ(available_disk(dir / "nowhere"), std::nullopt);
}

}  // namespace
}  // namespace ft::test
