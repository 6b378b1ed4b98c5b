// The JPEG walk: every cut refused, header edits named, bombs stopped, thumbnails not believed.
#include "io/jpeg_structure.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "tests/golden/image_jpeg.h"
#include "tests/io/image_samples.h"

namespace ft {
namespace {

using test::Bytes;
using test::verdict;

Bytes golden(std::string_view name) {
  for (const auto& g : test::kGoldenJpeg) {
    if (name == g.name) return test::from_hex(g.file);
  }
  ADD_FAILURE() << "no golden file " << name;
  return {};
}

std::string seen(const Bytes& file) {
  return test::error_of([&] { decode_image(file, "x"); }).seen();
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

TEST(JpegStructure, a_file_cut_at_any_byte_is_refused) {
  for (const Bytes& file :
       {test::drawn_jpeg(17, 9), golden("progressive"), golden("grey"), golden("restart")}) {
    ASSERT_EQ(verdict(file), 0);
    for (size_t n = 2; n < file.size(); ++n) {
      ASSERT_EQ(verdict(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(n))), 2107) << n;
    }
  }
}

TEST(JpegStructure, the_end_marker_of_a_thumbnail_does_not_count) {
  const Bytes thumbnail = test::drawn_jpeg(8, 8);
  Bytes tiff = test::exif_block(1, true);
  test::append(tiff, thumbnail);
  const Bytes app1 = test::exif_segment(tiff);
  const Bytes file = test::inserted(test::drawn_jpeg(32, 32), 2, app1);
  EXPECT_EQ(verdict(file), 0);
  EXPECT_EQ(verdict(Bytes(file.begin(), file.begin() + 2 + static_cast<ptrdiff_t>(app1.size()))),
            2107);
}

TEST(JpegStructure, a_header_without_scan_is_refused) {
  const Bytes file = test::drawn_jpeg(32, 32);
  const size_t sos = test::find_marker(file, 0xDA);
  Bytes headless(file.begin(), file.begin() + static_cast<ptrdiff_t>(sos));
  test::append(headless, {0xFF, 0xD9});
  EXPECT_EQ(verdict(headless), 2108);
  EXPECT_TRUE(contains(seen(headless), "no pixel data for component 1"));
  Bytes empty_scan(file.begin(), file.begin() + static_cast<ptrdiff_t>(sos) + 14);
  test::append(empty_scan, {0xFF, 0xD9});
  EXPECT_EQ(verdict(empty_scan), 2108);
}

TEST(JpegStructure, a_component_without_a_scan_is_refused) {
  Bytes file = golden("three_scans");
  size_t last = file.size();
  while (!(file[last - 1] == 0xDA && file[last - 2] == 0xFF)) --last;
  file.resize(last - 2);
  test::append(file, {0xFF, 0xD9});
  EXPECT_TRUE(contains(seen(file), "no pixel data for component 3")) << seen(file);
}

TEST(JpegStructure, too_little_scan_data_for_the_sides_is_refused) {
  Bytes file = test::drawn_jpeg(16, 16);
  const size_t sof = test::find_marker(file, 0xC0);
  file[sof + 5] = 0x20;  // 8208 lines
  EXPECT_EQ(verdict(file), 2108);
  EXPECT_TRUE(contains(seen(file), "cannot hold 16 x 8208 pixels")) << seen(file);
}

TEST(JpegStructure, missing_restart_markers_are_refused) {
  const Bytes file = golden("restart");
  const size_t sos = test::find_marker(file, 0xDA);
  for (size_t i = sos + 14; i + 1 < file.size(); ++i) {
    if (file[i] != 0xFF || file[i + 1] < 0xD0 || file[i + 1] > 0xD7) continue;
    Bytes without = file;
    without.erase(without.begin() + static_cast<ptrdiff_t>(i),
                  without.begin() + static_cast<ptrdiff_t>(i) + 2);
    EXPECT_EQ(verdict(without), 2108) << i;
    Bytes renamed = file;
    renamed[i + 1] = static_cast<uint8_t>(0xD0 + (renamed[i + 1] - 0xD0 + 3) % 8);
    EXPECT_EQ(verdict(renamed), 2108) << i;
  }
}

TEST(JpegStructure, unsupported_kinds_are_named) {
  const Bytes file = test::drawn_jpeg(16, 16);
  const size_t sof = test::find_marker(file, 0xC0);
  const std::pair<int, const char*> frames[] = {
      {0xC3, "lossless"},   {0xC5, "hierarchical"}, {0xC7, "hierarchical"},
      {0xC9, "arithmetic"}, {0xCA, "arithmetic"},   {0xCB, "lossless with arithmetic"},
      {0xCF, "arithmetic"}};
  for (const auto& [marker, word] : frames) {
    Bytes other = file;
    other[sof + 1] = static_cast<uint8_t>(marker);
    EXPECT_EQ(verdict(other), 2106);
    EXPECT_TRUE(contains(seen(other), std::string("unsupported JPEG kind: ") + word))
        << seen(other);
  }
  Bytes deep = file;
  deep[sof + 4] = 12;
  EXPECT_TRUE(contains(seen(deep), "unsupported JPEG kind: 12 bits")) << seen(deep);
  Bytes fractional = file;
  fractional[sof + 11] = 0x31;
  fractional[sof + 14] = 0x21;
  EXPECT_TRUE(contains(seen(fractional), "fractional colour subsampling")) << seen(fractional);
  EXPECT_TRUE(
      contains(seen(test::inserted(file, 2, test::jpeg_segment(0xF7, {8, 0, 1}))), "JPEG-LS"));
  EXPECT_TRUE(
      contains(seen(test::inserted(file, 2, test::jpeg_segment(0xDE, {8, 0, 1}))), "hierarchical"));
}

TEST(JpegStructure, thousands_of_scans_are_refused_at_once) {
  const Bytes file = golden("progressive");
  size_t last = file.size();
  while (!(file[last - 1] == 0xDA && file[last - 2] == 0xFF)) --last;
  const Bytes scan(file.begin() + static_cast<ptrdiff_t>(last) - 2, file.end() - 2);
  Bytes bomb(file.begin(), file.end() - 2);
  for (int i = 0; i < 5000; ++i) test::append(bomb, scan);
  test::append(bomb, {0xFF, 0xD9});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(verdict(bomb), 2114);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

// At 64 million pixels a hundred scans are as bad as thousands at a few: the product is limited.
TEST(JpegStructure, many_scans_of_a_huge_picture_are_refused) {
  const Bytes file = golden("grey_progressive");
  const JpegLayout layout = walk_jpeg(file, "x", {});
  Bytes huge = {0xFF, 0xD8}, last;
  for (const auto& piece : layout.pieces) {
    last.assign(file.begin() + static_cast<ptrdiff_t>(piece.offset),
                file.begin() + static_cast<ptrdiff_t>(piece.offset + piece.bytes));
    if (last[1] == 0xC2) {  // 8000 x 8000
      last[5] = last[7] = 0x1F;
      last[6] = last[8] = 0x40;
    }
    if (last[1] == 0xDA) last.resize(last.size() + 125'000, 0);  // a bit a block
    test::append(huge, last);
  }
  const auto number = [&](int more) {
    Bytes copy = huge;
    for (int i = 0; i < more; ++i) test::append(copy, last);
    test::append(copy, {0xFF, 0xD9});
    return test::error_of([&] { walk_jpeg(copy, "x", {}); }).number();
  };
  EXPECT_EQ(number(25 - layout.scans), 0);
  EXPECT_EQ(number(26 - layout.scans), 2114);
}

TEST(JpegStructure, tables_that_would_overrun_the_decoder_are_refused) {
  const Bytes file = test::drawn_jpeg(16, 16);
  Bytes counts(17, 0);
  counts[9] = counts[10] = 200;  // 400 symbols
  counts.resize(17 + 400, 1);
  EXPECT_EQ(verdict(test::inserted(file, 2, test::jpeg_segment(0xC4, counts))), 2108);
  Bytes impossible(17 + 3, 1);
  impossible[0] = 0;
  std::fill_n(impossible.begin() + 1, 16, 0);
  impossible[1] = 3;  // three codes of one bit
  EXPECT_TRUE(contains(seen(test::inserted(file, 2, test::jpeg_segment(0xC4, impossible))),
                       "that no code has"));
  EXPECT_EQ(verdict(test::inserted(file, 2, test::jpeg_segment(0xDB, Bytes(30, 0)))), 2108);
  EXPECT_EQ(verdict(test::inserted(file, 2, test::jpeg_segment(0xDB, Bytes(65, 4)))), 2108);
}

TEST(JpegStructure, missing_tables_are_refused) {
  for (const int marker : {0xC4, 0xDB}) {
    Bytes file = test::drawn_jpeg(16, 16);
    for (size_t at = test::find_marker(file, marker); at != std::string::npos;
         at = test::find_marker(file, marker)) {
      const size_t length = 2 + be16(file, at + 2);
      file.erase(file.begin() + static_cast<ptrdiff_t>(at),
                 file.begin() + static_cast<ptrdiff_t>(at + length));
    }
    EXPECT_EQ(verdict(file), 2108);
    EXPECT_TRUE(contains(seen(file), marker == 0xC4 ? "a Huffman table" : "a quantisation table"))
        << seen(file);
  }
}

TEST(JpegStructure, padding_and_fill_bytes_between_segments_are_accepted) {
  const Bytes file = test::drawn_jpeg(16, 16);
  const size_t dqt = test::find_marker(file, 0xDB);
  EXPECT_EQ(verdict(test::inserted(file, dqt, Bytes(7, 0x00))), 0);
  EXPECT_EQ(verdict(test::inserted(file, dqt, Bytes(7, 0xFF))), 0);
  EXPECT_EQ(verdict(test::inserted(file, dqt, Bytes(1, 0x42))), 2108);
}

TEST(JpegStructure, broken_segments_are_refused) {
  const Bytes file = test::drawn_jpeg(16, 16);
  const size_t sof = test::find_marker(file, 0xC0), sos = test::find_marker(file, 0xDA);
  const auto edited = [&](size_t at, int value) {
    Bytes copy = file;
    copy[at] = static_cast<uint8_t>(value);
    return verdict(copy);
  };
  EXPECT_EQ(edited(sof + 3, 16), 2108);             // frame length
  EXPECT_EQ(edited(sof + 11, 0x05), 2108);          // sampling factor 0
  EXPECT_EQ(edited(sof + 12, 7), 2108);             // quantisation table 7
  EXPECT_EQ(edited(sos + 5, 9), 2108);              // a component that does not exist
  EXPECT_EQ(edited(sos + 6, 0x77), 2108);           // table 7
  EXPECT_EQ(edited(sos + 7, file[sos + 5]), 2108);  // a component twice
  EXPECT_EQ(verdict(test::inserted(file, 2, {0xFF, 0xD8})), 2108);
  EXPECT_EQ(verdict(test::inserted(file, 2, {0xFF, 0x02, 0, 2})), 2108);
  EXPECT_EQ(verdict(test::inserted(file, 2, {0xFF, 0xE3, 0, 1})), 2108);
  EXPECT_EQ(verdict(test::inserted(file, 2, test::jpeg_segment(0xDD, {1, 2, 3}))), 2108);
  const Bytes frame(file.begin() + static_cast<ptrdiff_t>(sof),
                    file.begin() + static_cast<ptrdiff_t>(sof) + 19);
  EXPECT_EQ(verdict(test::inserted(file, sof, frame)), 2108);
}

// Any byte of the headers set to any of a few values: a clean answer, never a crash.
TEST(JpegStructure, header_edits_always_end_in_an_answer) {
  int refused = 0, decoded = 0;
  for (const Bytes& file : {test::drawn_jpeg(17, 9), golden("progressive"), golden("cmyk")}) {
    const size_t sos = test::find_marker(file, 0xDA);
    for (size_t at = 2; at < sos + 14; ++at) {
      for (const int value : {0x00, 0x01, 0x7F, 0x80, 0xFF, file[at] ^ 0x10}) {
        Bytes copy = file;
        copy[at] = static_cast<uint8_t>(value);
        (verdict(copy) == 0 ? decoded : refused)++;
      }
    }
  }
  EXPECT_GT(refused, 1000);
  EXPECT_GT(decoded, 100);
}

TEST(JpegStructure, the_clean_stream_holds_only_what_the_decoder_needs) {
  const Bytes plain = test::drawn_jpeg(16, 16);
  Bytes file = test::inserted(plain, 2, test::jpeg_segment(0xFE, Bytes(300, 'c')));
  file = test::inserted(file, 2, test::exif_segment(test::exif_block(3, false)));
  test::append(file, Bytes(50, 1));
  const JpegLayout layout = walk_jpeg(file, "x", {});
  EXPECT_EQ(layout.end, file.size() - 50);
  EXPECT_EQ(layout.exif.size(), test::exif_block(3, false).size());
  Bytes clean;
  clean_jpeg(file, layout, clean);
  EXPECT_LT(clean.size(), plain.size());
  EXPECT_EQ(decode_image(clean, "x").rgb, decode_image(plain, "x").rgb);
}

}  // namespace
}  // namespace ft
