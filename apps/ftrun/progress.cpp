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

namespace {

constexpr int kLeastBar = 8, kMostBar = 30;  // cells

double share_of(const ProgressParts& p) {
  return p.total > 0 ? static_cast<double>(p.done) / static_cast<double>(p.total) : 1;
}

// " 32/120, loss 0.31, 12 s left".
std::string tail_of(const ProgressParts& p, const std::string& note, const std::string& time) {
  return fmt::format(" {}/{}{}{}, {}{}", p.done, p.total, note.empty() ? "" : ", ", note, time,
                     p.left ? " left" : "");
}

// "1:02", "1:05:07".
std::string clock_text(double seconds) {
  const int64_t s = std::llround(seconds);
  return s < 3600 ? fmt::format("{}:{:02}", s / 60, s % 60)
                  : fmt::format("{}:{:02}:{:02}", s / 3600, s % 3600 / 60, s % 60);
}

std::string bar_of(double share, int cells) {
  std::string bar = " ";
  const int full = static_cast<int>(share * cells);
  for (int i = 0; i < cells; ++i) bar += i < full ? "\u2588" : "\u2591";
  return bar;
}

}  // namespace

std::string progress_line(const ProgressParts& p, int width) {
  const int columns = width - 1 - static_cast<int>(p.what.size());
  const auto room = [&](const std::string& tail) {
    return columns - static_cast<int>(tail.size());
  };
  std::string tail = tail_of(p, p.note, duration_text(p.seconds));
  std::string note = p.brief.empty() ? p.note : p.brief;
  while (room(tail) < kLeastBar + 1) {
    tail = tail_of(p, note, clock_text(p.seconds));
    if (note.empty()) break;
    const size_t comma = note.rfind(", ");
    note.resize(comma == std::string::npos ? 0 : comma);
  }
  const int cells = std::min(room(tail) - 1, kMostBar);
  const std::string bar = cells < kLeastBar ? "" : bar_of(share_of(p), cells);
  return p.what + bar + tail.substr(0, static_cast<size_t>(std::max(columns, 0)));
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

void Progress::update(int64_t done, const std::string& note, const std::string& brief) {
  const auto now = Clock::now();
  const auto pause = terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(15000);
  if (now - last_draw_ < pause) return;
  last_draw_ = now;
  ProgressParts parts = parts_at(done);
  parts.note = note;
  parts.brief = brief;
  draw(parts);
}

ProgressParts Progress::parts_at(int64_t done) const {
  ProgressParts parts{what_, done, total_, {}, {}};
  const double paced = std::chrono::duration<double>(last_draw_ - pace_start_).count();
  parts.left = done > paced_from_ && done < total_;
  parts.seconds = parts.left ? paced * static_cast<double>(total_ - done) /
                                   static_cast<double>(done - paced_from_)
                             : std::chrono::duration<double>(last_draw_ - start_).count();
  return parts;
}

void Progress::draw(const ProgressParts& parts) {
  if (terminal_) {
    std::fprintf(stderr, "\r\x1b[K%s", progress_line(parts, width_).c_str());
    std::fflush(stderr);
    drawn_ = true;
    return;
  }
  std::fprintf(stderr, "%s %3.0f %%%s\n", parts.what.c_str(), 100 * share_of(parts),
               tail_of(parts, parts.note, duration_text(parts.seconds)).c_str());
}

void Progress::finish() {
  if (drawn_) std::fprintf(stderr, "\r\x1b[K");
  drawn_ = false;
}

}  // namespace ft::app
