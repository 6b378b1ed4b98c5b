// The PNG walk: every cut and every flipped bit refused, header edits named.
#include "io/png_structure.h"

#include <gtest/gtest.h>

#include "tests/golden/image_png.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

using test::Bytes;
using test::png_chunk;
using test::png_file;
using test::verdict;

std::string seen(const Bytes& file) {
  return test::error_of([&] { decode_image(file, "x"); }).seen();
}

std::vector<Bytes> small_files() {
  return {test::drawn_png(5, 4), test::from_hex(test::kGoldenPng[0].file),
          test::from_hex(test::kGoldenPng[11].file)};
}

TEST(PngStructure, crc_matches_the_standard_check_value) {
  EXPECT_EQ(crc32(test::to_bytes("123456789")), 0xCBF43926u);
  EXPECT_EQ(crc32({}), 0u);
}

TEST(PngStructure, every_flipped_bit_is_refused) {
  for (const Bytes& file : small_files()) {
    ASSERT_EQ(verdict(file), 0);
    for (size_t bit = 0; bit < 8 * file.size(); ++bit) {
      Bytes copy = file;
      copy[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      ASSERT_NE(verdict(copy), 0) << "bit " << bit;
    }
  }
}

TEST(PngStructure, a_file_cut_at_any_byte_is_refused) {
  for (const Bytes& file : small_files()) {
    for (size_t n = 4; n < file.size(); ++n) {
      ASSERT_EQ(verdict(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(n))), 2109) << n;
    }
  }
}

TEST(PngStructure, pixel_data_that_unpacks_short_is_refused) {
  const Bytes file = test::drawn_png(20, 10);
  const Bytes rest(file.begin() + 33, file.end());  // behind IHDR: the data of 20 x 10
  Bytes taller = png_file({png_chunk("IHDR", test::png_header(20, 11, 8, 2))});
  test::append(taller, rest);
  EXPECT_EQ(verdict(taller), 2109);
  EXPECT_NE(seen(taller).find("fewer pixels"), std::string::npos) << seen(taller);
}

TEST(PngStructure, chunk_order_and_lengths_are_checked) {
  const Bytes head = png_chunk("IHDR", test::png_header(2, 2, 8, 2)), end = png_chunk("IEND", {});
  const Bytes data = png_chunk("IDAT", Bytes(20, 0));
  const std::pair<Bytes, int> cases[] = {
      {png_file({data, end}), 2110},
      {png_file({head, end}), 2110},
      {png_file({head, head, data, end}), 2110},
      {png_file({head, data, png_chunk("IEND", {1})}), 2110},
      {png_file({head, data, png_chunk("PLTE", Bytes(3)), end}), 2110},
      {png_file({head, png_chunk("PLTE", Bytes(4)), data, end}), 2110},
      {png_file({head, png_chunk("PLTE", Bytes(771)), data, end}), 2110},
      {png_file({head, png_chunk("tRNS", Bytes(5)), data, end}), 2110},
      {png_file({head, data, png_chunk("tRNS", Bytes(6)), end}), 2110},
      {png_file({png_chunk("IHDR", Bytes(12)), data, end}), 2110},
      {png_file({png_chunk("IHDR", test::png_header(2, 2, 8, 3)), data, end}), 2110},
      {png_file({png_chunk("IHDR", test::png_header(2, 2, 16, 3)), data, end}), 2110},
      {png_file({png_chunk("IHDR", test::png_header(2, 2, 4, 2)), data, end}), 2110},
      {png_file({png_chunk("IHDR", test::png_header(2, 2, 8, 5)), data, end}), 2110},
      {png_file({png_chunk("IHDR", test::png_header(2, 2, 9, 0)), data, end}), 2110},
      {png_file({head, png_chunk("ABCD", {}), data, end}), 2106},
      {png_file({head, png_chunk("12ab", {}), data, end}), 2110},
      {png_file({png_chunk("CgBI", Bytes(4)), head, data, end}), 2106},
      {png_file({head, data, end}), 2115},  // zeros are no deflate stream
  };
  int i = 0;
  for (const auto& [file, number] : cases)
    EXPECT_EQ(verdict(file), number) << "case " << i++ << seen(file);
}

TEST(PngStructure, unknown_optional_chunks_are_skipped) {
  Bytes file = test::drawn_png(6, 6);
  file = test::inserted(file, 33, png_chunk("teSt", Bytes(100, 7)));
  EXPECT_EQ(decode_image(file, "x").rgb, test::drawn_picture(6, 6));
}

// A palette index without an entry is black, whatever lay in memory before.
TEST(PngStructure, palette_indices_without_entry_are_black) {
  const Bytes grey = {0, 1, 2, 255};
  Bytes file = encode_png(grey.data(), 4, 1, 1);
  const Bytes rest(file.begin() + 33, file.end());
  Bytes indexed = png_file(
      {png_chunk("IHDR", test::png_header(4, 1, 8, 3)), png_chunk("PLTE", {9, 8, 7, 6, 5, 4})});
  test::append(indexed, rest);
  EXPECT_EQ(decode_image(indexed, "x").rgb, (Bytes{9, 8, 7, 6, 5, 4, 0, 0, 0, 0, 0, 0}));
}

}  // namespace
}  // namespace ft
