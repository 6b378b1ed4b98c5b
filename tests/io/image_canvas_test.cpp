// Drawing: clipping, mixing, scaling, text that can be told apart.
#include "io/image_canvas.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "io/image_write.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

constexpr Rgb kWhite{255, 255, 255}, kBlack{0, 0, 0}, kRed{255, 0, 0};

int count(const Canvas& c, Rgb color) {
  int n = 0;
  for (int y = 0; y < c.height; ++y) {
    for (int x = 0; x < c.width; ++x) n += c.at(x, y) == color;
  }
  return n;
}

TEST(ImageCanvas, fill_covers_its_box_and_is_clipped) {
  Canvas c(10, 8);
  EXPECT_EQ(count(c, kWhite), 80);
  c.fill({2, 3, 4, 2}, kRed);
  EXPECT_EQ(count(c, kRed), 8);
  EXPECT_EQ(c.at(2, 3), kRed);
  EXPECT_EQ(c.at(6, 3), kWhite);
  c.fill({-5, -5, 7, 6}, kBlack);
  EXPECT_EQ(count(c, kBlack), 2);
  c.fill({9, 7, std::numeric_limits<int>::max(), std::numeric_limits<int>::max()}, kBlack);
  c.fill({20, 20, 5, 5}, kBlack);
  c.fill({3, 3, -2, -2}, kBlack);
  EXPECT_EQ(count(c, kBlack), 3);
}

TEST(ImageCanvas, opacity_mixes_with_what_is_there) {
  Canvas c(3, 1, kBlack);
  c.fill({0, 0, 1, 1}, kWhite, 0);
  c.fill({1, 0, 1, 1}, kWhite, 0.5f);
  c.fill({2, 0, 1, 1}, kWhite, 1);
  EXPECT_EQ(c.rgb, (test::Bytes{0, 0, 0, 128, 128, 128, 255, 255, 255}));
}

TEST(ImageCanvas, frame_draws_the_inside_of_the_edge) {
  Canvas c(12, 10);
  c.frame({1, 1, 10, 8}, kRed, 2);
  EXPECT_EQ(count(c, kRed), 10 * 8 - 6 * 4);
  EXPECT_EQ(c.at(3, 3), kWhite);
  EXPECT_EQ(c.at(0, 1), kWhite);
  c.frame({0, 0, 3, 3}, kBlack, 50);
  EXPECT_EQ(count(c, kBlack), 9);
}

TEST(ImageCanvas, picture_is_scaled_into_its_box_and_clipped) {
  const test::Bytes rgb = test::drawn_picture(20, 16);
  Canvas whole(10, 8, kRed);
  whole.picture({0, 0, 10, 8}, rgb.data(), 20, 16);
  Canvas shifted(10, 8, kRed);
  shifted.picture({-3, 2, 10, 8}, rgb.data(), 20, 16);
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 7; ++x) EXPECT_EQ(shifted.at(x, y + 2), whole.at(x + 3, y));
  }
  EXPECT_EQ(shifted.at(7, 5), kRed);
  EXPECT_EQ(shifted.at(0, 1), kRed);
}

TEST(ImageCanvas, heat_map_peaks_where_its_values_do) {
  const float values[9] = {0, 0, 0, 0, 0, 1, 0, 0, std::numeric_limits<float>::quiet_NaN()};
  Canvas c(93, 93, kBlack);
  c.heat_map({0, 0, 93, 93}, values, 3, 3, 1);
  EXPECT_EQ(c.at(77, 46), heat_color(1));
  EXPECT_EQ(c.at(5, 5), heat_color(0));
  EXPECT_EQ(c.at(85, 88), heat_color(0));
}

TEST(ImageCanvas, heat_colors_are_distinct_and_clamped) {
  std::set<std::tuple<int, int, int>> seen;
  for (int i = 0; i <= 20; ++i) {
    const Rgb c = heat_color(static_cast<float>(i) / 20);
    seen.insert({c.r, c.g, c.b});
  }
  EXPECT_EQ(seen.size(), 21u);
  EXPECT_EQ(heat_color(-3), heat_color(0));
  EXPECT_EQ(heat_color(7), heat_color(1));
  EXPECT_EQ(heat_color(std::numeric_limits<float>::quiet_NaN()), heat_color(0));
}

TEST(ImageCanvas, every_printable_character_looks_different) {
  for (const int px : {12, 16}) {
    std::set<test::Bytes> pictures;
    for (char ch = '!'; ch <= '~'; ++ch) {
      Canvas c(2 * px, 2 * px);
      c.text(2, 2, std::string(1, ch), px, kBlack);
      EXPECT_NE(count(c, kWhite), 4 * px * px) << ch;
      pictures.insert(c.rgb);
    }
    EXPECT_GE(pictures.size(), 93u) << px;  // of 94: the font draws one pair alike
  }
}

TEST(ImageCanvas, text_stays_inside_its_measured_width) {
  const std::string text = "bees 0.97 (val/0031.jpg)";
  for (const int px : {12, 14, 16, 24}) {
    Canvas c(400, 40);
    c.text(0, 0, text, px, kBlack);
    const int width = text_width(text, px);
    int right = 0;
    for (int y = 0; y < c.height; ++y) {
      for (int x = 0; x < c.width; ++x) {
        if (c.at(x, y) != kWhite) right = std::max(right, x);
      }
    }
    EXPECT_LT(right, width);
    EXPECT_GT(right, width - px);
  }
}

TEST(ImageCanvas, text_survives_any_bytes_and_any_place) {
  std::string all;
  for (int i = 1; i < 256; ++i) all += static_cast<char>(i);
  Canvas c(50, 20);
  c.text(-20, -5, all, 12, kBlack);
  c.text(1000, 1000, all, 12, kBlack);
  c.text(0, 0, "", 12, kBlack);
  Canvas a(40, 20), b(40, 20);
  a.text(0, 0, "\xC3\xA4x", 12, kBlack);
  b.text(0, 0, "?x", 12, kBlack);
  EXPECT_EQ(a.rgb, b.rgb);
}

TEST(ImageCanvas, long_text_is_fitted) {
  EXPECT_EQ(fit_text("ants", 12, 200), "ants");
  const std::string fitted = fit_text("a rather long name of a class", 12, 60);
  EXPECT_TRUE(fitted.starts_with("a r") && fitted.ends_with("..")) << fitted;
  EXPECT_LE(text_width(fitted, 12), 60);
  EXPECT_EQ(fit_text("ants", 12, 3), "");
}

TEST(ImageWrite, png_keeps_every_channel_count) {
  const test::Bytes rgb = test::drawn_picture(9, 5);
  const Image back = decode_image(encode_png(rgb.data(), 9, 5), "x");
  EXPECT_EQ(back.rgb, rgb);
  test::Bytes grey(45);
  for (size_t i = 0; i < 45; ++i) grey[i] = rgb[3 * i];
  const Image one = decode_image(encode_png(grey.data(), 9, 5, 1), "x");
  EXPECT_TRUE(one.notes.grey);
  for (size_t i = 0; i < 45; ++i) EXPECT_EQ(one.rgb[3 * i + 2], grey[i]);
}

TEST(ImageWrite, jpeg_quality_trades_size_for_error) {
  const test::Bytes rgb = test::drawn_picture(64, 64);
  size_t last_size = 0;
  int last_error = 256;
  for (const int quality : {10, 50, 95}) {
    const test::Bytes file = encode_jpeg(rgb.data(), 64, 64, quality);
    const int error = test::largest_difference(decode_image(file, "x").rgb, rgb);
    EXPECT_GT(file.size(), last_size);
    EXPECT_LT(error, last_error);
    last_size = file.size();
    last_error = error;
  }
}

TEST(ImageWrite, arguments_are_checked) {
  const test::Bytes rgb(3);
  EXPECT_EQ(test::error_of([&] { encode_png(rgb.data(), 0, 1); }).number(), 1001);
  EXPECT_EQ(test::error_of([&] { encode_png(rgb.data(), 1, 1, 5); }).number(), 1001);
  EXPECT_EQ(test::error_of([&] { encode_jpeg(rgb.data(), 1, 1, 0); }).number(), 1001);
}

}  // namespace
}  // namespace ft
