// The resizer against Pillow's bytes, against a slow reference in double, and against itself.
#include "io/resize.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/golden/resize.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

using test::Bytes;

// The picture of scripts/golden/resize.py.
Bytes golden_picture(int width, int height) {
  Bytes rgb;
  for (uint64_t y = 0; y < static_cast<uint64_t>(height); ++y) {
    for (uint64_t x = 0; x < static_cast<uint64_t>(width); ++x) {
      for (uint64_t c = 0; c < 3; ++c) {
        const auto noise =
            static_cast<uint32_t>((x * 7919 + y * 104729 + c * 1299709 + x * y * 31) * 2654435761u);
        const uint64_t v = y % 3 == 0   ? noise >> 24
                           : y % 3 == 1 ? ((x / 5 + y / 7) % 2 == 0 ? 255 : 0)
                                        : (x * 3 + y * 2 + c * 60) % 256;
        rgb.push_back(static_cast<uint8_t>(v));
      }
    }
  }
  return rgb;
}

Bytes random_picture(int width, int height, uint64_t seed) {
  const Rng rng(seed, RngPurpose::test);
  Bytes rgb(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(rng.below(i, 256));
  return rgb;
}

Bytes resized(const Bytes& rgb, int w, int h, const ResizePlan& plan, bool mirrored = false,
              const ResizeKernels& kernels = best_resize_kernels()) {
  Bytes out(plan.bytes() + 32, 0xA5);
  Resizer resizer(kernels);
  resizer.run(rgb.data(), w, h, plan, mirrored, out.data());
  for (size_t i = plan.bytes(); i < out.size(); ++i)
    EXPECT_EQ(out[i], 0xA5) << "written past the end";
  out.resize(plan.bytes());
  return out;
}

// One axis in double, no tables, no rounding.
std::vector<double> slow_axis(const std::vector<double>& in, int n, int out_n, int stride,
                              int lines) {
  std::vector<double> out(static_cast<size_t>(out_n) * static_cast<size_t>(lines), 0);
  const double scale = double(n) / out_n, support = std::max(1.0, scale);
  for (int x = 0; x < out_n; ++x) {
    const double centre = (x + 0.5) * scale;
    double sum = 0;
    for (int i = 0; i < n; ++i) {
      const double w = std::max(0.0, 1 - std::fabs((i + 0.5 - centre) / support));
      sum += w;
      for (int k = 0; k < lines; ++k) {
        out[static_cast<size_t>(x * lines + k)] += w * in[static_cast<size_t>(i * stride + k)];
      }
    }
    for (int k = 0; k < lines; ++k) out[static_cast<size_t>(x * lines + k)] /= sum;
  }
  return out;
}

// Both axes in double; rows {height}{width}{3}.
std::vector<double> slow_resize(const Bytes& rgb, int w, int h, int out_w, int out_h) {
  std::vector<double> middle;
  for (int y = 0; y < h; ++y) {
    const auto* row = rgb.data() + static_cast<ptrdiff_t>(y) * w * 3;
    const std::vector<double> line = slow_axis({row, row + w * 3}, w, out_w, 3, 3);
    middle.insert(middle.end(), line.begin(), line.end());
  }
  return slow_axis(middle, h, out_h, out_w * 3, out_w * 3);
}

TEST(Resize, equals_pillow_byte_for_byte) {
  for (const auto& g : test::kGoldenResize) {
    const int left = (g.scaled_width - g.width) / 2, top = (g.scaled_height - g.height) / 2;
    ResizePlan plan{g.scaled_width, g.scaled_height, left, top, g.width, g.height};
    // Python rounds halves to even; see plan_places_the_crop_as_torchvision for the rule itself.
    if ((g.scaled_width - g.width) % 4 == 3) ++plan.left;
    if ((g.scaled_height - g.height) % 4 == 3) ++plan.top;
    const Bytes in = golden_picture(g.in_width, g.in_height), want = test::from_hex(g.rgb);
    for (const auto* kernels : {&plain_resize_kernels(), &best_resize_kernels()}) {
      EXPECT_EQ(resized(in, g.in_width, g.in_height, plan, false, *kernels), want)
          << kernels->name << ": " << g.in_width << " x " << g.in_height << " to " << g.scaled_width
          << " x " << g.scaled_height;
    }
  }
}

TEST(Resize, stays_within_one_of_the_exact_result) {
  const int sizes[][4] = {{50, 37, 22, 22}, {13, 90, 40, 31}, {7, 7, 7, 30},   {64, 5, 9, 5},
                          {1, 1, 5, 5},     {2, 300, 3, 4},   {31, 33, 32, 32}};
  uint64_t seed = 0;
  for (const auto& s : sizes) {
    const Bytes in = random_picture(s[0], s[1], ++seed);
    const std::vector<double> want = slow_resize(in, s[0], s[1], s[2], s[3]);
    const Bytes got = resized(in, s[0], s[1], {s[2], s[3], 0, 0, s[2], s[3]});
    ASSERT_EQ(got.size(), want.size());
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], want[i], 1.0) << s[0] << " x " << s[1];
  }
}

TEST(Resize, all_kernels_give_equal_bytes_for_any_size_window_and_flip) {
  const Rng rng(7, RngPurpose::test);
  for (uint64_t i = 0; i < 400; ++i) {
    const auto pick = [&](uint64_t k, uint32_t most) {
      return 1 + static_cast<int>(rng.below(10 * i + k, most));
    };
    const int w = pick(0, 70), h = pick(1, 70), out_w = i % 5 == 0 ? w : pick(2, 70),
              out_h = i % 7 == 0 ? h : pick(3, 70);
    ResizePlan plan{out_w,
                    out_h,
                    0,
                    0,
                    pick(4, static_cast<uint32_t>(out_w)),
                    pick(5, static_cast<uint32_t>(out_h))};
    plan.left =
        static_cast<int>(rng.below(10 * i + 6, static_cast<uint32_t>(out_w - plan.width + 1)));
    plan.top =
        static_cast<int>(rng.below(10 * i + 7, static_cast<uint32_t>(out_h - plan.height + 1)));
    const bool mirrored = i % 2 != 0;
    const Bytes in = random_picture(w, h, i);
    ASSERT_EQ(resized(in, w, h, plan, mirrored, plain_resize_kernels()),
              resized(in, w, h, plan, mirrored, best_resize_kernels()))
        << w << " x " << h << " to " << out_w << " x " << out_h;
  }
}

TEST(Resize, a_window_is_cut_out_of_the_whole_result) {
  const Bytes in = random_picture(53, 41, 3);
  const Bytes whole = resized(in, 53, 41, {30, 26, 0, 0, 30, 26});
  const Bytes window = resized(in, 53, 41, {30, 26, 7, 3, 11, 19});
  for (int y = 0; y < 19; ++y) {
    EXPECT_TRUE(std::equal(window.begin() + y * 33, window.begin() + (y + 1) * 33,
                           whole.begin() + ((y + 3) * 30 + 7) * 3));
  }
}

TEST(Resize, mirrored_exchanges_left_and_right_of_the_result) {
  for (const int in_w : {40, 21}) {  // with and without a change of width
    const Bytes in = random_picture(in_w, 33, 4);
    const ResizePlan plan{21, 18, 2, 1, 17, 16};
    const Bytes straight = resized(in, in_w, 33, plan),
                mirrored = resized(in, in_w, 33, plan, true);
    for (size_t y = 0; y < 16; ++y) {
      for (size_t x = 0; x < 17; ++x) {
        for (size_t c = 0; c < 3; ++c) {
          ASSERT_EQ(mirrored[(y * 17 + x) * 3 + c], straight[(y * 17 + 16 - x) * 3 + c]);
        }
      }
    }
  }
}

TEST(Resize, equal_sizes_copy_the_picture) {
  const Bytes in = random_picture(19, 23, 5);
  EXPECT_EQ(resized(in, 19, 23, {19, 23, 0, 0, 19, 23}), in);
}

TEST(Resize, a_constant_picture_stays_constant) {
  for (const int value : {0, 1, 127, 254, 255}) {
    const Bytes in(80 * 61 * 3, static_cast<uint8_t>(value));
    const Bytes out = resized(in, 80, 61, {33, 140, 0, 0, 33, 140});
    EXPECT_TRUE(std::ranges::all_of(out, [&](uint8_t v) { return v == value; }));
  }
}

TEST(Resize, one_resizer_serves_many_sizes_in_any_order) {
  Resizer shared;
  for (int round = 0; round < 3; ++round) {
    for (int w = 1; w < 90; ++w) {  // more sizes than tables are kept
      const int h = 90 - w;
      const Bytes in = random_picture(w, h, static_cast<uint64_t>(w));
      const ResizePlan plan{12, 10, 0, 0, 12, 10};
      Bytes out(plan.bytes());
      shared.run(in.data(), w, h, plan, false, out.data());
      ASSERT_EQ(out, resized(in, w, h, plan)) << w;
    }
  }
}

TEST(Resize, plan_squash_ignores_the_aspect_ratio) {
  const ResizePlan p = plan_resize({ResizeMode::squash, 227, 224}, 500, 10);
  EXPECT_EQ(std::tie(p.scaled_width, p.scaled_height, p.left, p.top, p.width, p.height),
            std::tuple(227, 224, 0, 0, 227, 224));
}

// Expected numbers: torchvision's formulas evaluated in Python.
TEST(Resize, plan_places_the_crop_as_torchvision) {
  const int cases[][6] = {// in, scaled, left, top
                          {500, 375, 341, 256, 58, 16},          {375, 500, 256, 341, 16, 58},
                          {256, 256, 256, 256, 16, 16},          {500, 333, 384, 256, 80, 16},
                          {333, 500, 256, 384, 16, 80},          {1000, 257, 996, 256, 386, 16},
                          {1, 20000, 256, 5120000, 16, 2559888}, {257, 500, 256, 498, 16, 137},
                          {640, 427, 383, 256, 80, 16},          {311, 500, 256, 411, 16, 94}};
  const ResizeSpec spec{ResizeMode::crop, 224, 224, 256};
  for (const auto& c : cases) {
    const ResizePlan p = plan_resize(spec, c[0], c[1]);
    EXPECT_EQ(std::tie(p.scaled_width, p.scaled_height, p.left, p.top, p.width, p.height),
              std::tuple(c[2], c[3], c[4], c[5], 224, 224))
        << c[0] << " x " << c[1];
  }
}

TEST(Resize, plan_moves_the_window_of_a_crop_over_all_places) {
  const ResizeSpec crop{ResizeMode::crop, 4, 4,
                        5};  // of 50 x 100: scaled to 5 x 10, so 2 x 7 places
  std::vector<std::pair<int, int>> seen;
  for (int i = 0; i < 1000; ++i) {
    const CropAt at{static_cast<float>(i % 10) / 10, static_cast<float>(i / 10) / 100};
    const ResizePlan p = plan_resize(crop, 50, 100, &at);
    ASSERT_TRUE(p.left >= 0 && p.left <= 1 && p.top >= 0 && p.top <= 6);
    seen.emplace_back(p.left, p.top);
  }
  std::ranges::sort(seen);
  EXPECT_EQ(std::ranges::unique(seen).begin() - seen.begin(), 14);
  const CropAt last{1, 1};
  EXPECT_EQ(plan_resize(crop, 50, 100, &last).left, 1);
}

TEST(Resize, plan_letterbox_keeps_the_aspect_and_fits) {
  const ResizeSpec box{ResizeMode::letterbox, 224, 160};
  const int cases[][4] = {{448, 320, 224, 160}, {500, 375, 213, 160}, {100, 10, 224, 22},
                          {10, 1000, 2, 160},   {20000, 1, 224, 1},   {7, 5, 224, 160}};
  for (const auto& c : cases) {
    const ResizePlan p = plan_resize(box, c[0], c[1]);
    EXPECT_EQ(std::tie(p.width, p.height), std::tuple(c[2], c[3])) << c[0] << " x " << c[1];
    EXPECT_EQ(std::tie(p.scaled_width, p.scaled_height, p.left, p.top),
              std::tuple(c[2], c[3], 0, 0));
  }
}

// The border is what the recipe's numbers make about 0, in the order R, G, B of pixels.
TEST(Resize, the_border_of_a_letterbox_is_the_mean_colour) {
  InputRecipe r{224,
                224,
                ResizeMode::letterbox,
                0,
                ColourOrder::rgb,
                1.0 / 255,
                {0.485, 0.456, 0.406},
                {0.229, 0.224, 0.225}};
  EXPECT_EQ(resize_spec(r).border, (std::array<uint8_t, 3>{124, 116, 104}));
  r = {227, 227, ResizeMode::letterbox, 0, ColourOrder::bgr, 1, {104.007, 116.669, 300}, {1, 1, 1}};
  EXPECT_EQ(resize_spec(r).border, (std::array<uint8_t, 3>{255, 117, 104}));
}

TEST(Resize, plan_refuses_a_crop_larger_than_the_short_side) {
  const auto bad = [](ResizeSpec spec) {
    return test::error_of([&] { plan_resize(spec, 10, 10); }).number();
  };
  EXPECT_EQ(bad({ResizeMode::crop, 224, 224, 223}), 2130);
  EXPECT_EQ(bad({ResizeMode::squash, 0, 224}), 2130);
  EXPECT_EQ(bad({ResizeMode::squash, 1, 1}), 0);
}

TEST(Resize, extreme_shapes_work) {
  const ResizeSpec crop{ResizeMode::crop, 24, 24, 32};
  const int shapes[][2] = {{1, 1}, {1, 20000}, {20000, 1}, {2, 9999}};
  for (const auto& s : shapes) {
    const Bytes in(static_cast<size_t>(s[0]) * static_cast<size_t>(s[1]) * 3, 77);
    for (const ResizePlan& plan :
         {plan_resize(crop, s[0], s[1]), plan_resize({ResizeMode::squash, 24, 24}, s[0], s[1])}) {
      const Bytes out = resized(in, s[0], s[1], plan);
      EXPECT_TRUE(std::ranges::all_of(out, [](uint8_t v) { return v == 77; }));
    }
  }
}

}  // namespace
}  // namespace ft
