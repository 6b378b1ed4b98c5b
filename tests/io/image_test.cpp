// Pictures from bytes and paths: golden pixels of every kind, notes, refusals, limits.
#include "io/image.h"

#include <gtest/gtest.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <thread>

#include "io/image_reader.h"
#include "tests/golden/image_jpeg.h"
#include "tests/golden/image_png.h"
#include "tests/io/file_faults.h"
#include "tests/io/image_samples.h"
#include "tests/support/support.h"

namespace ft {
namespace {

using test::Bytes;
using test::error_of;
using test::verdict;

std::string words(const ImageNotes& n) {
  std::string out;
  const auto add = [&](bool on, const char* word) {
    if (on) out += (out.empty() ? "" : " ") + std::string(word);
  };
  add(n.grey, "grey");
  add(n.alpha, "alpha");
  add(n.sixteen_bit, "sixteen");
  add(n.cmyk, "cmyk");
  return out;
}

// Compares all columns but the last `ignored` ones.
void expect_golden(const test::GoldenImage& g, int tolerance, int ignored = 0) {
  const Image image = decode_image(test::from_hex(g.file), g.name);
  ASSERT_EQ(image.width, g.width) << g.name;
  ASSERT_EQ(image.height, g.height) << g.name;
  const Bytes want = test::from_hex(g.rgb);
  ASSERT_EQ(image.rgb.size(), want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    if (static_cast<int>(i / 3) % g.width >= g.width - ignored) continue;
    ASSERT_LE(std::abs(image.rgb[i] - want[i]), tolerance) << g.name << " at " << i;
  }
  EXPECT_EQ(words(image.notes), g.notes) << g.name;
}

TEST(Image, png_and_bmp_of_every_kind_give_the_golden_pixels) {
  for (const auto& g : test::kGoldenPng) expect_golden(g, 0);
}

// libjpeg-turbo made the golden pixels; stb_image rounds its colour conversion and upsampling
// otherwise, and exchanges two weights in the last but one column of 4:2:2 pictures.
TEST(Image, jpeg_of_every_kind_gives_the_golden_pixels) {
  int decoded = 0;
  for (const auto& g : test::kGoldenJpeg) {
    if (*g.rgb == '\0') continue;
    expect_golden(g, 3, std::string(g.name) == "422" ? 2 : 0);
    ++decoded;
  }
  EXPECT_EQ(decoded, 16);
}

TEST(Image, jpeg_kinds_that_are_not_decoded_are_named) {
  for (const auto& g : test::kGoldenJpeg) {
    if (*g.rgb != '\0') continue;
    const Error e = error_of([&] { decode_image(test::from_hex(g.file), "a.jpg"); });
    EXPECT_EQ(e.number(), 2106) << g.name;
    const bool two = std::string(g.name) == "two_components";
    EXPECT_NE(e.seen().find(two ? "2 colour components" : "arithmetic coding"), std::string::npos)
        << e.seen();
  }
}

TEST(Image, png_is_read_back_exactly) {
  for (const auto& [w, h] : {std::pair{1, 1}, {3, 2}, {1, 20000}, {20000, 1}, {97, 61}}) {
    const Image image = decode_image(test::drawn_png(w, h), "a.png");
    EXPECT_EQ(image.rgb, test::drawn_picture(w, h));
    EXPECT_EQ(image.notes.extreme_aspect, w > 100 * h || h > 100 * w);
  }
}

TEST(Image, jpeg_is_read_back_nearly) {
  for (const int quality : {95, 85}) {
    const Image image = decode_image(test::drawn_jpeg(64, 48, quality), "a.jpg");
    double sum = 0;
    const Bytes want = test::drawn_picture(64, 48);
    ASSERT_EQ(image.rgb.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) sum += std::abs(int{want[i]} - int{image.rgb[i]});
    EXPECT_LT(sum / static_cast<double>(want.size()), 6) << quality;
  }
}

TEST(Image, bytes_after_the_end_marker_change_nothing) {
  for (Bytes file : {test::drawn_jpeg(20, 20), test::drawn_png(20, 20)}) {
    const Image before = decode_image(file, "x");
    test::append(file, test::drawn_jpeg(8, 8));
    test::append(file, Bytes(100, 0xFF));
    EXPECT_EQ(decode_image(file, "x").rgb, before.rgb);
  }
}

TEST(Image, content_decides_and_a_wrong_extension_is_noted) {
  const Bytes jpeg = test::drawn_jpeg(9, 9), png = test::drawn_png(9, 9);
  EXPECT_FALSE(decode_image(jpeg, "a.JPG").notes.name_mismatch);
  EXPECT_FALSE(decode_image(jpeg, "a.jpeg").notes.name_mismatch);
  EXPECT_FALSE(decode_image(jpeg, "a").notes.name_mismatch);
  EXPECT_TRUE(decode_image(jpeg, "a.png").notes.name_mismatch);
  EXPECT_TRUE(decode_image(png, "dir.png/a.jpg").notes.name_mismatch);
  EXPECT_EQ(decode_image(png, "a.jpg").notes.kind, FileKind::png);
}

TEST(Image, other_formats_are_named) {
  using namespace std::string_literals;
  const std::pair<std::string, std::pair<int, const char*>> cases[] = {
      {"", {2125, "empty"}},
      {"GIF89a\1\0\1\0", {2104, "a GIF image"}},
      {"RIFF\x24\0\0\0WEBPVP8 "s, {2104, "a WebP image"}},
      {"II*\0\x08\0\0\0"s, {2104, "a TIFF image"}},
      {"\0\0\0\x18"
       "ftypheic\0\0\0\0mif1heic"s,
       {2104, "a HEIC image"}},
      {"\0\0\0\x1C"
       "ftypmif1\0\0\0\0avifmif1"s,
       {2104, "an AVIF image"}},
      {"<?xml version=\"1.0\"?>\n<svg xmlns=\"\"/>", {2104, "an SVG drawing"}},
      {"\xEF\xBB\xBF \n<!DOCTYPE html><title>404</title>", {2105, "an HTML page"}},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", {2105, "a Git LFS pointer"}},
      {"%PDF-1.7", {2105, "a PDF document"}},
      {"PK\x03\x04", {2105, "a ZIP archive"}},
      {"hello", {2105, "not a picture of a known format"}},
      {"\xFF", {2105, "not a picture of a known format"}},
  };
  for (const auto& [head, want] : cases) {
    for (const size_t more : {0, 5000}) {
      if (head.empty() && more > 0) continue;
      const Error e = error_of(
          [&, &h = head] { decode_image(test::to_bytes(h + std::string(more, '\1')), "a.jpg"); });
      EXPECT_EQ(e.number(), want.first) << want.second;
      EXPECT_NE(e.seen().find(want.second), std::string::npos) << e.seen();
    }
  }
}

TEST(Image, every_refusal_names_file_cause_and_remedy_in_one_line) {
  const Bytes file = test::drawn_jpeg(30, 30);
  const ByteSpan cut = ByteSpan(file).first(file.size() - 1);
  const Error e = error_of([&] { decode_image(cut, "data/cat/0031.jpg"); });
  const std::string n = grouped(static_cast<int64_t>(cut.size()));
  EXPECT_EQ(e.line(),
            "ftrun: error E2107: data/cat/0031.jpg: JPEG ends early (no end marker after byte " +
                n + " of " + n + "); remove or replace the file, or run with --bad-images=skip");
}

TEST(Image, numbers_are_grouped_by_thousands) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(48213), "48,213");
  EXPECT_EQ(grouped(-1234567), "-1,234,567");
  EXPECT_EQ(grouped(-123), "-123");
}

TEST(Image, limits_hold_before_anything_is_allocated) {
  const auto decode_under = [](const Bytes& file, ImageLimits limits) {
    return error_of([&] { decode_image(file, "x", {.limits = limits}); }).number();
  };
  for (const Bytes& file :
       {test::drawn_png(40, 30), test::drawn_jpeg(40, 30), test::drawn_bmp(40, 30)}) {
    EXPECT_EQ(decode_under(file, {.max_side = 40, .max_pixels = 1200}), 0);
    EXPECT_EQ(decode_under(file, {.max_side = 39}), 2113);
    EXPECT_EQ(decode_under(file, {.max_pixels = 1199}), 2113);
  }
}

// Growth of the address space of a child that runs `action`; -1 if it did not end well.
int64_t peak_growth_bytes(const std::function<void()>& action) {
  const auto peak = [] {
    std::ifstream status("/proc/self/status");
    std::string word;
    int64_t kib = -1;
    while (status >> word && word != "VmPeak:") {
    }
    status >> kib;
    return kib * 1024;
  };
  int ends[2];
  if (::pipe(ends) != 0) return -1;
  const pid_t child = ::fork();
  if (child == 0) {
    const int64_t before = peak();
    action();
    const int64_t grown = peak() - before;
    ::_exit(::write(ends[1], &grown, sizeof grown) == sizeof grown ? 0 : 1);
  }
  ::close(ends[1]);
  int64_t grown = -1;
  if (::read(ends[0], &grown, sizeof grown) != sizeof grown) grown = -1;
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  return status == 0 ? grown : -1;
}

TEST(Image, pixel_bombs_are_refused_with_little_memory) {
  constexpr int64_t kMiB = 1 << 20;
  Bytes jpeg = test::drawn_jpeg(16, 16);
  const size_t sof = test::find_marker(jpeg, 0xC0);
  Bytes sides = {0xFF, 0xFF, 0xFF, 0xFF};
  std::copy(sides.begin(), sides.end(), jpeg.begin() + static_cast<ptrdiff_t>(sof) + 5);
  Bytes inside =
      test::drawn_jpeg(16, 16);  // within the pixel budget, but with 16 x 16 pixels of data
  sides = {0x1F, 0x40, 0x1F, 0x40};
  std::copy(sides.begin(), sides.end(), inside.begin() + static_cast<ptrdiff_t>(sof) + 5);
  const Bytes some = test::png_chunk("IDAT", Bytes(200, 0)), end = test::png_chunk("IEND", {});
  const auto png = [&](uint32_t w, uint32_t h) {
    return test::png_file({test::png_chunk("IHDR", test::png_header(w, h, 16, 6)), some, end});
  };
  Bytes bmp = test::drawn_bmp(4, 4);
  std::fill_n(bmp.begin() + 18, 2, 0xFF);
  std::fill_n(bmp.begin() + 22, 2, 0x7F);
  const std::pair<Bytes, int> cases[] = {{jpeg, 2113},
                                         {inside, 2108},
                                         {png(16000, 16000), 2113},
                                         {png(8000, 8000), 2109},
                                         {png(0xFFFFFFFF, 1), 2113},
                                         {bmp, 2113}};
  for (const auto& [file, number] : cases) {
    EXPECT_EQ(verdict(file), number);
    const int64_t grown = peak_growth_bytes([&, &f = file] { verdict(f); });
    EXPECT_GE(grown, 0);
    EXPECT_LT(grown, 64 * kMiB);
  }
}

// Deflate can pack 1032 bytes into one: a picture of one pixel must not unpack to a gigabyte.
TEST(Image, a_png_that_unpacks_without_end_is_stopped) {
  const Bytes big = test::to_bytes(std::string(4'000'000, '\0'));
  const Bytes wide = encode_png(big.data(), 4'000'000, 1, 1);
  const ptrdiff_t at = 8 + 25;  // behind signature and IHDR
  const Bytes head = test::png_chunk("IHDR", test::png_header(1, 1, 8, 0));
  Bytes file = test::kPngSignature;
  test::append(file, head);
  file.insert(file.end(), wide.begin() + at, wide.end());
  const Error e = error_of([&] { decode_image(file, "x"); });
  EXPECT_EQ(e.number(), 2115);
  EXPECT_NE(e.seen().find("more memory"), std::string::npos) << e.seen();
}

TEST(Image, zero_sides_are_refused) {
  Bytes jpeg = test::drawn_jpeg(16, 16);
  const size_t sof = test::find_marker(jpeg, 0xC0);
  jpeg[sof + 5] = jpeg[sof + 6] = 0;
  EXPECT_EQ(verdict(jpeg), 2112);
  const auto png = [&](uint32_t w, uint32_t h) {
    return test::png_file({test::png_chunk("IHDR", test::png_header(w, h, 8, 2))});
  };
  EXPECT_EQ(verdict(png(0, 5)), 2112);
  EXPECT_EQ(verdict(png(5, 0)), 2112);
  Bytes bmp = test::drawn_bmp(4, 4);
  bmp[18] = 0;
  EXPECT_EQ(verdict(bmp), 2112);
}

TEST(Image, only_regular_files_are_read) {
  const test::TempDir dir;
  const auto number = [&](const std::string& name) {
    return error_of([&] { load_image(dir / name); });
  };
  EXPECT_EQ(number("missing.jpg").number(), 2121);
  std::filesystem::create_directory(dir / "folder.jpg");
  EXPECT_EQ(number("folder.jpg").number(), 2122);
  ASSERT_EQ(::mkfifo((dir / "fifo.jpg").c_str(), 0600), 0);
  EXPECT_EQ(number("fifo.jpg").number(), 2123);
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  (dir / "s.jpg").string().copy(address.sun_path, sizeof address.sun_path - 1);
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(number("s.jpg").number(), 2123);
  ::close(socket);
  std::filesystem::create_symlink("/dev/zero", dir / "zero.jpg");
  EXPECT_EQ(number("zero.jpg").number(), 2123);
  test::write_file(dir / "empty.jpg", "");
  EXPECT_EQ(number("empty.jpg").number(), 2125);
  const Error e = number("empty.jpg");
  EXPECT_EQ(e.where(), (dir / "empty.jpg").string());
  EXPECT_TRUE(e.remedy().ends_with(", or run with --bad-images=skip")) << e.remedy();
}

TEST(Image, a_file_without_read_permission_is_refused) {
  const test::TempDir dir;
  test::write_file(dir / "a.png", test::to_text(test::drawn_png(4, 4)));
  std::filesystem::permissions(dir / "a.png", std::filesystem::perms::none);
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  const int number = error_of([&] { load_image(dir / "a.png"); }).number();
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
  EXPECT_EQ(number, 2124);
}

TEST(Image, interrupted_and_short_reads_go_on_and_a_failing_disk_is_status_5) {
  const test::TempDir dir;
  const Bytes file = test::drawn_png(50, 50);
  test::write_file(dir / "a.png", test::to_text(file));
  using Mode = test::FaultPlan::Mode;
  {
    const test::FileFaults faults({.mode = Mode::short_count, .at = 0, .only = "read"});
    EXPECT_EQ(load_image(dir / "a.png").rgb, test::drawn_picture(50, 50));
  }
  {
    const test::FileFaults faults({.mode = Mode::error, .at = 0, .error = EINTR, .only = "read"});
    EXPECT_EQ(load_image(dir / "a.png").rgb, test::drawn_picture(50, 50));
  }
  const test::FileFaults faults({.mode = Mode::error, .at = 0, .error = EIO, .only = "read"});
  const Error e = error_of([&] { load_image(dir / "a.png"); });
  EXPECT_EQ(e.status(), ExitStatus::output);
  EXPECT_EQ(e.where(), (dir / "a.png").string());
}

// Damaged JPEG data may still decode; the pixels must then follow from the file, not from old
// memory.
TEST(Image, pixels_of_damaged_files_do_not_depend_on_memory_content) {
  int decoded = 0;
  for (const Bytes& good : {test::drawn_jpeg(40, 30), test::from_hex(test::kGoldenJpeg[7].file)}) {
    const Rng rng(1, RngPurpose::test);
    for (uint64_t i = 0; i < 400; ++i) {
      Bytes file = good;
      const uint32_t bit = rng.below(i, static_cast<uint32_t>(8 * file.size()));
      file[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
      Bytes pixels[2];
      for (int fill = 0; fill < 2; ++fill) {
        ::mallopt(M_PERTURB, fill == 0 ? 0x11 : 0xEE);
        Image image;
        if (error_of([&] { image = decode_image(file, "x"); }).number() == 0)
          pixels[fill] = image.rgb;
      }
      ::mallopt(M_PERTURB, 0);
      ASSERT_EQ(pixels[0], pixels[1]) << "bit " << bit;
      decoded += pixels[0].empty() ? 0 : 1;
    }
  }
  EXPECT_GT(decoded, 100);
}

TEST(Image, threads_get_the_reasons_of_their_own_files) {
  const Bytes good = test::drawn_jpeg(40, 40);
  Bytes no_such_code = good;  // decoding fails inside of stb_image
  const size_t sos = test::find_marker(good, 0xDA);
  for (size_t i = sos + 20; i < sos + 60; i += 2) {  // sixteen ones are no code
    no_such_code[i] = 0xFF;
    no_such_code[i + 1] = 0;
  }
  const std::string reason = error_of([&] { decode_image(no_such_code, "x"); }).seen();
  EXPECT_NE(reason.find("the decoder gave up ["), std::string::npos) << reason;
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      ImageDecoder decoder;
      Image image;
      for (int i = 0; i < 50; ++i) {
        const bool bad = (i + t) % 2 == 0;
        const Error e = error_of([&] { decoder.decode(bad ? no_such_code : good, "x", image); });
        wrong += e.seen() != (bad ? reason : "");
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

TEST(Image, check_gives_the_size_without_pixels) {
  Image image;
  ImageDecoder decoder;
  decoder.check(test::drawn_jpeg(33, 44), "x", image);
  EXPECT_EQ(std::tuple(image.width, image.height, image.rgb.size()), std::tuple(33, 44, 0u));
}

TEST(ImageReader, fills_its_slot_of_a_batch_and_nothing_else) {
  const test::TempDir dir;
  test::write_file(dir / "a.png", test::to_text(test::drawn_png(50, 40)));
  test::write_file(dir / "bad.png", "no picture");
  ImageReader reader({ResizeMode::crop, 16, 16, 20});
  Bytes batch(3 * reader.slot_bytes(), 0xEE);
  reader.read(dir / "a.png", {}, batch.data() + reader.slot_bytes());
  const Bytes rgb = test::drawn_picture(50, 40);
  Bytes want(reader.slot_bytes());
  Resizer().run(rgb.data(), 50, 40, {25, 20, 4, 2, 16, 16}, false, want.data());
  EXPECT_TRUE(
      std::equal(want.begin(), want.end(), batch.begin() + static_cast<ptrdiff_t>(want.size())));
  EXPECT_EQ(
      error_of([&] { reader.read(dir / "bad.png", {.mirrored = true}, batch.data()); }).number(),
      2105);
  EXPECT_TRUE(std::all_of(batch.begin(), batch.begin() + static_cast<ptrdiff_t>(want.size()),
                          [](uint8_t v) { return v == 0xEE; }));
}

TEST(ImageReader, places_a_letterbox_in_the_middle_of_its_border) {
  ResizeSpec spec{ResizeMode::letterbox, 16, 16};
  spec.border = {1, 2, 3};
  ImageReader reader(spec);
  Bytes slot(reader.slot_bytes());
  const Bytes file = test::drawn_png(48, 33), rgb = test::drawn_picture(48, 33);
  for (const bool mirrored : {false, true}) {
    reader.read(file, "a.png", {.mirrored = mirrored}, slot.data());
    Bytes picture(16 * 11 * 3);
    Resizer().run(rgb.data(), 48, 33, {16, 11, 0, 0, 16, 11}, mirrored, picture.data());
    const auto row = [&](int y) { return slot.begin() + 48 * y; };
    for (const int y : {0, 1, 13, 14, 15})
      for (int i = 0; i < 48; ++i) ASSERT_EQ(row(y)[i], i % 3 + 1) << y;
    EXPECT_TRUE(std::equal(picture.begin(), picture.end(), row(2)));
  }
}

}  // namespace
}  // namespace ft
