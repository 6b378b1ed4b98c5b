// Exif orientation: all eight values, both byte orders, damaged blocks.
#include "io/image_exif.h"

#include <gtest/gtest.h>

#include "tests/io/image_samples.h"

namespace ft {
namespace {

using test::Bytes;

// What a camera stores so that turning by `orientation` gives `rgb` back.
Bytes stored(const Bytes& rgb, int width, int height, int orientation) {
  static constexpr int kInverse[] = {0, 1, 2, 3, 4, 5, 8, 7, 6};
  Bytes out;
  turn_picture(rgb.data(), width, height, kInverse[orientation], out);
  return out;
}

TEST(ImageExif, each_orientation_moves_the_corners_as_the_standard_says) {
  // Exif 4.6.4 says where row 0 and column 0 of the stored picture are seen. Stored: 1 2 3 / 4 5 6.
  const int want[9][6] = {{},
                          {1, 2, 3, 4, 5, 6},
                          {3, 2, 1, 6, 5, 4},
                          {6, 5, 4, 3, 2, 1},
                          {4, 5, 6, 1, 2, 3},
                          {1, 4, 2, 5, 3, 6},
                          {4, 1, 5, 2, 6, 3},
                          {6, 3, 5, 2, 4, 1},
                          {3, 6, 2, 5, 1, 4}};
  Bytes rgb;
  for (uint8_t v = 1; v <= 6; ++v) rgb.insert(rgb.end(), {v, v, v});
  for (int o = 1; o <= 8; ++o) {
    Bytes out;
    turn_picture(rgb.data(), 3, 2, o, out);
    for (size_t i = 0; i < 6; ++i) EXPECT_EQ(out[3 * i], want[o][i]) << "orientation " << o;
  }
}

TEST(ImageExif, eight_files_look_equal_after_decoding) {
  const Bytes rgb = test::drawn_picture(13, 8);
  for (int o = 1; o <= 8; ++o) {
    for (const bool little : {false, true}) {
      const Bytes turned = stored(rgb, 13, 8, o);
      const int w = o >= 5 ? 8 : 13, h = o >= 5 ? 13 : 8;
      const Bytes png = test::inserted(encode_png(turned.data(), w, h), 33,
                                       test::png_chunk("eXIf", test::exif_block(o, little)));
      const Image image = decode_image(png, "x");
      EXPECT_EQ(image.width, 13);
      EXPECT_EQ(image.rgb, rgb) << "PNG, orientation " << o;
      EXPECT_EQ(image.notes.oriented, o != 1);
      EXPECT_FALSE(image.notes.exif_damaged);
      const Bytes jpeg = test::inserted(encode_jpeg(turned.data(), w, h, 100), 2,
                                        test::exif_segment(test::exif_block(o, little)));
      const Image photo = decode_image(jpeg, "x");
      EXPECT_EQ(photo.height, 8);
      EXPECT_LE(test::largest_difference(photo.rgb, rgb), 6) << "JPEG, orientation " << o;
    }
  }
}

TEST(ImageExif, orientation_can_be_switched_off) {
  const Bytes file = test::inserted(test::drawn_png(13, 8), 33,
                                    test::png_chunk("eXIf", test::exif_block(6, true)));
  const Image image = decode_image(file, "x", {.limits = {}, .apply_orientation = false});
  EXPECT_EQ(image.rgb, test::drawn_picture(13, 8));
  EXPECT_FALSE(image.notes.oriented);
  EXPECT_EQ(decode_image(file, "x").width, 8);
  Image checked;
  ImageDecoder().check(file, "x", checked);
  EXPECT_EQ(std::pair(checked.width, checked.height), std::pair(8, 13));
}

TEST(ImageExif, a_damaged_block_is_ignored_and_noted) {
  for (const bool little : {false, true}) {
    const Bytes good = test::exif_block(6, little);
    ASSERT_EQ(read_exif_orientation(good).value, 6);
    for (size_t n = 1; n < 22; ++n) {  // the entry ends at byte 22
      const ExifOrientation cut = read_exif_orientation({good.data(), n});
      EXPECT_EQ(cut.value, 1) << n;
      EXPECT_TRUE(cut.damaged) << n;
    }
    for (size_t at = 0; at < good.size(); ++at) {
      for (int value = 0; value < 256; ++value) {
        Bytes bent = good;
        bent[at] = static_cast<uint8_t>(value);
        const int o = read_exif_orientation(bent).value;
        EXPECT_TRUE(o >= 1 && o <= 8);
      }
    }
  }
  Bytes beyond = test::exif_block(6, true);
  for (size_t i = 4; i < 8; ++i) beyond[i] = 0xFF;  // the directory lies at 4 GB
  const Bytes file = test::inserted(test::drawn_jpeg(13, 8), 2, test::exif_segment(beyond));
  const Image image = decode_image(file, "x");
  EXPECT_TRUE(image.notes.exif_damaged);
  EXPECT_FALSE(image.notes.oriented);
  EXPECT_EQ(image.width, 13);
}

TEST(ImageExif, unknown_orientation_is_upright_without_complaint) {
  EXPECT_EQ(read_exif_orientation(test::exif_block(0, true)).value, 1);
  EXPECT_FALSE(read_exif_orientation(test::exif_block(0, true)).damaged);
  EXPECT_TRUE(read_exif_orientation(test::exif_block(9, true)).damaged);
  EXPECT_FALSE(read_exif_orientation({}).damaged);
}

}  // namespace
}  // namespace ft
