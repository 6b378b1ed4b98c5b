// Free memory and disk space.
#include "io/available.h"

#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <string>

namespace ft {
namespace {

namespace fs = std::filesystem;

// The number at the start of a file; nothing where there is none ("max").
std::optional<size_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  size_t value = 0;
  if (!(file >> value)) return std::nullopt;
  return value;
}

// A field of a file of "name value" lines.
std::optional<size_t> read_field(const fs::path& path, const std::string& name) {
  std::ifstream file(path);
  std::string word;
  while (file >> word) {
    size_t value = 0;
    if (word == name && file >> value) return value;
  }
  return std::nullopt;
}

// What a control group still lets its processes take. Clean pages of files count as used there, but are given
// back on demand.
std::optional<size_t> left_in_group(const fs::path& folder, const char* limit_name,
                                    const char* used_name, const char* file_pages_name) {
  const std::optional<size_t> limit = read_number(folder / limit_name);
  const std::optional<size_t> used = read_number(folder / used_name);
  if (!limit || !used) return std::nullopt;
  const size_t pages = read_field(folder / "memory.stat", file_pages_name).value_or(0);
  const size_t taken = *used > pages ? *used - pages : 0;
  return *limit > taken ? *limit - taken : 0;
}

// "0::/user.slice/x" (version 2) or "4:memory:/x" (version 1): the folder of the group below its mount.
std::string group_of(const fs::path& root, bool version2) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const bool wanted =
        version2 ? line.starts_with("0::") : controllers.find(",memory,") != std::string::npos;
    if (wanted && line.size() > second + 1) return line.substr(second + 2);
  }
  return "";
}

// What `ulimit -v` still lets this process take.
std::optional<size_t> left_in_address_space(const fs::path& root) {
  struct rlimit limit{};
  if (::getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return std::nullopt;
  const std::optional<size_t> pages = read_number(root / "proc/self/statm");
  const size_t taken = pages.value_or(0) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return limit.rlim_cur > taken ? limit.rlim_cur - taken : 0;
}

}  // namespace

size_t available_memory(const fs::path& root) {
  std::optional<size_t> least = read_field(root / "proc/meminfo", "MemAvailable:");
  if (least) *least *= 1024;
  const auto take = [&](const std::optional<size_t>& left) {
    if (left) least = std::min(least.value_or(*left), *left);
  };
  // A limit may stand at any level between the group and the root of the hierarchy.
  for (const bool version2 : {true, false}) {
    const fs::path mount = root / (version2 ? "sys/fs/cgroup" : "sys/fs/cgroup/memory");
    const fs::path group = group_of(root, version2);
    const auto look = [&](const fs::path& folder) {
      take(version2 ? left_in_group(folder, "memory.max", "memory.current", "inactive_file")
                    : left_in_group(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                    "total_inactive_file"));
    };
    fs::path folder = mount;
    look(folder);
    for (const fs::path& part : group) look(folder /= part);
  }
  take(left_in_address_space(root));
  return least.value_or(0);
}

std::optional<size_t> available_disk(const fs::path& folder) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0 || info.f_blocks == 0) return std::nullopt;
  return static_cast<size_t>(info.f_bavail) * static_cast<size_t>(info.f_frsize);
}

}  // namespace ft
