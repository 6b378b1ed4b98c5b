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

class Progress {
 public:
  // `what` happens `total` times. Silent when it takes less than a blink.
  Progress(std::string what, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of total are done; `note` stands behind the bar ("loss 0.31, accuracy 88 %").
  void update(int64_t done, const std::string& note = {});
  // What comes now goes at another pace than the `done` before: the time left is counted from here.
  void change_pace(int64_t done);
  // Ends the line; a longer report follows.
  void finish();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(int64_t done, const std::string& note);
  std::string what_;
  int64_t total_, paced_from_ = 0;
  bool terminal_, drawn_ = false;
  int width_ = 80;
  Clock::time_point start_, pace_start_, last_draw_;
};

}  // namespace ft::app
