// The BMP check: cuts, header edits, kinds that are named.
#include "io/bmp_structure.h"

#include <gtest/gtest.h>

#include "tests/golden/image_png.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

using test::Bytes;
using test::verdict;

std::vector<Bytes> files() {
  std::vector<Bytes> out = {test::drawn_bmp(5, 3)};
  for (const auto& g : test::kGoldenPng) {
    if (std::string_view(g.name).starts_with("bmp")) out.push_back(test::from_hex(g.file));
  }
  return out;
}

Bytes with(Bytes file, size_t at, uint32_t value) {
  std::memcpy(&file[at], &value, 4);
  return file;
}

TEST(BmpStructure, a_file_cut_at_any_byte_is_refused) {
  ASSERT_EQ(files().size(), 7u);
  for (const Bytes& file : files()) {
    ASSERT_EQ(verdict(file), 0);
    for (size_t n = 2; n < file.size(); ++n) {
      ASSERT_EQ(verdict(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(n))), 2111) << n;
    }
  }
}

TEST(BmpStructure, is_read_back_exactly) {
  EXPECT_EQ(decode_image(test::drawn_bmp(13, 7), "x").rgb, test::drawn_picture(13, 7));
}

TEST(BmpStructure, headers_that_cannot_be_true_are_refused) {
  const Bytes file = test::drawn_bmp(5, 3);
  EXPECT_EQ(verdict(with(file, 22, static_cast<uint32_t>(-3))), 2106);  // top-down
  EXPECT_EQ(verdict(with(file, 22, 0x80000000u)), 2106);
  EXPECT_EQ(verdict(with(file, 18, static_cast<uint32_t>(-5))), 2112);
  EXPECT_EQ(verdict(with(file, 18, 0x7FFFFFFF)), 2113);
  EXPECT_EQ(verdict(with(file, 22, 4)), 2111);   // a row more than there is
  EXPECT_EQ(verdict(with(file, 10, 20)), 2111);  // pixels inside of the header
  EXPECT_EQ(verdict(with(file, 10, 0xFFFFFFF0u)), 2111);
  EXPECT_EQ(verdict(with(file, 14, 41)), 2111);
  EXPECT_EQ(verdict(with(file, 26, 1 | 23u << 16)), 2111);
  EXPECT_EQ(verdict(with(file, 30, 1)), 2106);  // run-length
  EXPECT_EQ(verdict(with(file, 30, 5)), 2106);  // embedded PNG
  EXPECT_EQ(verdict(with(file, 30, 3)), 2111);  // masks with 24 bits
}

TEST(BmpStructure, any_header_byte_may_change_without_harm) {
  for (const Bytes& file : files()) {
    for (size_t at = 0; at < std::min<size_t>(file.size(), 140); ++at) {
      for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF}) {
        Bytes copy = file;
        copy[at] = static_cast<uint8_t>(value);
        verdict(copy);  // an answer, no crash
      }
    }
  }
}

}  // namespace
}  // namespace ft
