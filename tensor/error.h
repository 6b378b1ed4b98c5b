// Errors that carry the remedy. Everything that can go wrong outside of our own code is thrown as
// ft::Error: a stable number, where it happened, what was seen, and what to do about it. main() turns
// it into one line on stderr and the exit status. Programming errors are caught by FT_CHECK.
// Values: free to copy and to throw across threads and across the plugin border.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace ft {

// Exit status of ftrun (docs/errors.md). The thousands digit of an error number is its status, so
// number ranges belong to a status:
//   E1xxx internal · E20xx command line and configuration · E21xx images · E22xx dataset folders
//   E23xx weight files · E24xx models and graphs · E3xxx device · E4xxx memory · E5xxx output
//   E6xxx numbers · E7xxx peer processes
enum class ExitStatus : int {
  ok = 0,
  internal = 1,
  bad_input = 2,
  device = 3,
  out_of_memory = 4,
  output = 5,
  numbers = 6,
  peer = 7,
  stopped = 75,
};

// One fault, told completely.
//   number  stable, listed in docs/errors.md; number / 1000 is the exit status
//   where   file, flag, node or device that the fault belongs to; may hold any bytes, escaped on output
//   seen    what was found, and what was expected
//   remedy  what the user can do now
// what() is "where: seen; remedy", escaped and on one line.
class Error : public std::runtime_error {
 public:
  Error(int number, std::string where, std::string seen, std::string remedy);

  int number() const { return number_; }
  ExitStatus status() const { return static_cast<ExitStatus>(number_ / 1000); }
  const std::string& where() const { return where_; }
  const std::string& seen() const { return seen_; }
  const std::string& remedy() const { return remedy_; }

  // "ftrun: error E2107: where: seen; remedy"
  std::string line() const;

 private:
  int number_;
  std::string where_, seen_, remedy_;
};

// `text` with control characters, escape codes, bidi marks and bytes that are not UTF-8 written as
// \xNN or \u{NNNN}, so that a hostile file name cannot draw on a terminal or break a line.
std::string escape(std::string_view text);

// Throws Error 1001 (status 1, a bug in ftrun) with file and line.
[[noreturn]] void check_failed(const char* file, int line, const char* condition,
                               const std::string& message);

}  // namespace ft

// Programming errors only: FT_CHECK(a == b, "what this means").
#define FT_CHECK(condition, message)                                               \
  do {                                                                             \
    if (!(condition)) ::ft::check_failed(__FILE__, __LINE__, #condition, message); \
  } while (false)
