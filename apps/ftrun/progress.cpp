// Progress bar and durations.
#include "apps/ftrun/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace ft::app {

std::string duration_text(double seconds) {
  if (seconds < 10) return fmt::format("{:.2f} s", seconds);
  if (seconds < 60) return fmt::format("{:.0f} s", seconds);
  const int64_t s = static_cast<int64_t>(seconds + 0.5);
  if (s < 3600) return fmt::format("{} min {:02} s", s / 60, s % 60);
  return fmt::format("{} h {:02} min", s / 3600, s % 3600 / 60);
}

std::string bytes_text(double bytes) {
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", bytes / 1024);
  if (bytes < 1024.0 * 1024 * 1024) return fmt::format("{:.1f} MiB", bytes / 1048576);
  return fmt::format("{:.2f} GiB", bytes / 1073741824);
}

std::string counted(int64_t n, const std::string& noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

std::string loss_text(double loss) {
  return std::abs(loss) < 1e5 ? fmt::format("{:.4f}", loss) : fmt::format("{:.3g}", loss);
}

std::string rate_text(double per_s) {
  return fmt::format("{:.{}f}", per_s, per_s < 10 ? 2 : per_s < 100 ? 1 : 0);
}

Progress::Progress(std::string what, int64_t total)
    : what_(std::move(what)),
      total_(total),
      terminal_(isatty(STDERR_FILENO) == 1),
      start_(Clock::now()),
      pace_start_(start_),
      last_draw_(start_) {
  winsize size{};
  if (terminal_ && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20)
    width_ = size.ws_col;
}

Progress::~Progress() { finish(); }

void Progress::change_pace(int64_t done) {
  paced_from_ = done;
  pace_start_ = Clock::now();
}

void Progress::update(int64_t done, const std::string& note) {
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(15000);
  if (now - last_draw_ < pause) return;
  last_draw_ = now;
  draw(done, note);
}

void Progress::draw(int64_t done, const std::string& note) {
  const double elapsed = std::chrono::duration<double>(last_draw_ - start_).count();
  const double share = total_ > 0 ? static_cast<double>(done) / static_cast<double>(total_) : 1;
  const double paced = std::chrono::duration<double>(last_draw_ - pace_start_).count();
  const std::string left = done > paced_from_ && done < total_
                               ? duration_text(paced * static_cast<double>(total_ - done) /
                                               static_cast<double>(done - paced_from_)) +
                                     " left"
                               : duration_text(elapsed);
  std::string tail = fmt::format(" {}/{}", done, total_);
  if (!note.empty()) tail += ", " + note;
  tail += ", " + left;
  if (!terminal_) {
    std::fprintf(stderr, "%s %3.0f %%%s\n", what_.c_str(), 100 * share, tail.c_str());
    return;
  }
  const int room = width_ - static_cast<int>(what_.size() + tail.size()) - 4;
  std::string bar;
  if (room >= 8) {
    const int cells = std::min(room, 30), full = static_cast<int>(share * cells);
    for (int i = 0; i < cells; ++i) bar += i < full ? "\u2588" : "\u2591";
    bar = " " + bar;
  }
  std::fprintf(
      stderr, "\r\x1b[K%s%s%s", what_.c_str(), bar.c_str(),
      tail.substr(0, static_cast<size_t>(std::max(width_ - static_cast<int>(what_.size()) - 1, 0)))
          .c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::finish() {
  if (drawn_) std::fprintf(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace ft::app
