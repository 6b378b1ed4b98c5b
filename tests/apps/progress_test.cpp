// The line of a progress bar on terminals of several widths.
#include "apps/ftrun/progress.h"

#include <gtest/gtest.h>

#include <string>

namespace ft::test {
namespace {

using app::progress_line;
using app::ProgressParts;

// Columns that a terminal shows: every cell of the bar is three bytes.
size_t columns(const std::string& line) {
  size_t n = 0;
  for (const char c : line) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}
bool has(const std::string& line, const std::string& part) {
  return line.find(part) != std::string::npos;
}
size_t cells(const std::string& line) {
  size_t n = 0;
  for (size_t at = line.find("\u2588"); at != std::string::npos; at = line.find("\u2588", at + 1))
    ++n;
  for (size_t at = line.find("\u2591"); at != std::string::npos; at = line.find("\u2591", at + 1))
    ++n;
  return n;
}

ProgressParts training(int64_t done, int64_t total, double seconds) {
  return {"training",
          done,
          total,
          "epoch 3, loss 1.4500, accuracy 28.1 %, rate 0.001, 48.9 images/s",
          "loss 1.4500, acc 28 %, lr 0.001, 48.9/s",
          seconds,
          true};
}

TEST(ProgressLine, has_everything_on_a_wide_terminal) {
  const std::string line = progress_line(training(32, 120, 62), 140);
  EXPECT_TRUE(line.starts_with("training "));
  EXPECT_EQ(cells(line), 30u);
  EXPECT_TRUE(
      line.ends_with(" 32/120, epoch 3, loss 1.4500, accuracy 28.1 %, rate 0.001, 48.9 images/s, "
                     "1 min 02 s left"))
      << line;
}

TEST(ProgressLine, has_a_bar_loss_accuracy_rate_speed_and_time_left_in_80_columns) {
  const std::string line = progress_line(training(32, 120, 62), 80);
  EXPECT_GE(cells(line), 8u);
  EXPECT_TRUE(line.ends_with(" 32/120, loss 1.4500, acc 28 %, lr 0.001, 48.9/s, 1:02 left"))
      << line;
  EXPECT_LT(columns(line), 80u);
}

TEST(ProgressLine, gives_up_the_note_from_its_end_then_the_bar_but_not_the_time) {
  const std::string long_run = progress_line(training(1234567, 20000000, 36007), 80);
  EXPECT_GE(cells(long_run), 8u);
  EXPECT_TRUE(has(long_run, "loss 1.4500")) << long_run;
  EXPECT_FALSE(has(long_run, "/s")) << long_run;
  EXPECT_TRUE(long_run.ends_with(", 10:00:07 left")) << long_run;
  for (int width = 20; width < 160; ++width) {
    const std::string line = progress_line(training(32, 120, 62), width);
    EXPECT_LT(columns(line), static_cast<size_t>(width)) << line;
    if (width >= 40) {
      EXPECT_TRUE(has(line, "left")) << width << line;
    }
  }
}

TEST(ProgressLine, shares_and_time_gone_by) {
  EXPECT_EQ(
      progress_line({"reading", 0, 4, "", "", 0.5, false}, 40), "reading " + [] {
        std::string empty;
        for (int i = 0; i < 19; ++i) empty += "\u2591";
        return empty;
      }() + " 0/4, 0.50 s");
}

}  // namespace
}  // namespace ft::test
