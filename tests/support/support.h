// Helpers shared by all tests. Not thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ft::test {

// A fresh folder, removed with its content at the end of its scope.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

// Whole file as bytes; fails the test when it cannot be read.
std::string read_file(const std::filesystem::path& path);
void write_file(const std::filesystem::path& path, const std::string& bytes);

// The folder with real photos named by FT_PHOTOS (train/ and val/ with a folder a class), or empty.
std::filesystem::path photos();

}  // namespace ft::test
