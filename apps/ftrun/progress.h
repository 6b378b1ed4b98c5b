// What a person sees while something runs: one line that is redrawn on a terminal, now and then a plain line
// otherwise. Writes to stderr, so that standard output stays what a script reads. Used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace ft::app {

// "3 min 12 s", "0.42 s", "2 h 05 min".
std::string duration_text(double seconds);
// "217.3 MiB".
std::string bytes_text(double bytes);
// "1 epoch", "3 epochs".
std::string counted(int64_t n, const std::string& noun);
// A loss: four decimals, and a power of ten where it has run away ("4.8e+31").
std::string loss_text(double loss);
// Images a second, or any other rate: three digits below 10, one decimal below 100, then whole.
std::string rate_text(double per_s);

// What a progress line is made of. `brief` stands in for `note` where the line has no room for it.
struct ProgressParts {
  std::string what;
  int64_t done = 0, total = 0;
  std::string note, brief;
  double seconds = 0;  // left, or gone by where that is not known
  bool left = false;
};
// The line for a terminal of `width` columns, one shorter than that: name, a bar of at least 8 cells, count, note and
// time. Without room for all, the note is given in brief, then cut at commas from its end, then the bar goes.
std::string progress_line(const ProgressParts& parts, int width);

class Progress {
 public:
  // `what` happens `total` times. Silent when it takes less than a blink.
  Progress(std::string what, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of total are done; `note` stands behind the bar ("loss 0.31, accuracy 88 %"), `brief` on a narrow terminal.
  void update(int64_t done, const std::string& note = {}, const std::string& brief = {});
  // What comes now goes at another pace than the `done` before: the time left is counted from here.
  void change_pace(int64_t done);
  // Ends the line; a longer report follows.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const ProgressParts& parts);
  ProgressParts parts_at(int64_t done) const;
  std::string what_;
  int64_t total_, paced_from_ = 0;
  bool terminal_, drawn_ = false;
  int width_ = 80;
  Clock::time_point start_, pace_start_, last_draw_;
};

}  // namespace ft::app
