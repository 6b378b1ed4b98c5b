// Makes datasets of small files for tests, and catches errors. Header only.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "io/dataset.h"
#include "tests/support/support.h"

namespace ft::test {

// A dataset folder with train and val of the classes ants and bees, three images each.
class FolderTree {
 public:
  FolderTree() {
    for (const char* split : {"train", "val"})
      for (const char* cls : {"ants", "bees"})
        for (const char* file : {"1.jpg", "2.jpg", "3.jpg"})
          add({std::string(split) + "/" + cls + "/" + file});
  }

  // Writes files (their content is their name) or, for names ending in /, makes folders.
  void add(std::initializer_list<std::string> names) const {
    for (const std::string& name : names) {
      if (name.ends_with('/')) {
        std::filesystem::create_directories(dir_ / name);
      } else {
        write_file(dir_ / name, name);
      }
    }
  }
  void link(const std::string& target, const std::string& name) const {
    std::filesystem::create_directories((dir_ / name).parent_path());
    std::filesystem::create_symlink(target, dir_ / name);
  }
  void remove(const std::string& name) const { std::filesystem::remove_all(dir_ / name); }
  void rename(const std::string& from, const std::string& to) const {
    std::filesystem::rename(dir_ / from, dir_ / to);
  }
  std::string path(const std::string& name = "") const {
    return name.empty() ? dir_.path().string() : (dir_ / name).string();
  }
  ScanOptions options() const {
    ScanOptions options;
    options.data = path();
    return options;
  }
  Dataset scan() const { return ft::scan(options()); }
  // Paths of a split below the dataset folder, as "train/ants/1.jpg:0".
  std::vector<std::string> samples(const Dataset& data, const std::string& split) const {
    std::vector<std::string> out;
    for (const Sample& sample : data.find(split)->samples)
      out.push_back(sample.path.substr(path().size() + 1) + ":" + std::to_string(sample.label));
    return out;
  }

 private:
  TempDir dir_;
};

// What `call` throws, as "E2201: where: seen; remedy", or "" if it does not throw.
inline std::string error_of(const std::function<void()>& call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    return "E" + std::to_string(error.number()) + ": " + error.what();
  }
}

// Runs `call` in a child process and returns the string it returned. As nobody: without root's
// permissions (only root can become nobody; others stay who they are).
inline std::string in_child(bool as_nobody, const std::function<std::string()>& call) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    std::string text = "cannot become nobody";
    if (!as_nobody || getuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0)) text = call();
    const bool written = write(ends[1], text.data(), text.size()) >= 0;
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  std::string out;
  char buffer[4096];
  for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
    out.append(buffer, static_cast<size_t>(n));
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? out : out + " (child died)";
}

}  // namespace ft::test

#define EXPECT_HAS(text, part) \
  EXPECT_NE((text).find(part), std::string::npos) << "no \"" << (part) << "\" in: " << (text)
#define EXPECT_HAS_NOT(text, part) \
  EXPECT_EQ((text).find(part), std::string::npos) << "\"" << (part) << "\" in: " << (text)
