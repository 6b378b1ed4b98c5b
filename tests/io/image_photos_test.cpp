// Real photos (FT_PHOTOS): all of them decode, none of them survives a cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "io/image_reader.h"
#include "tests/io/image_samples.h"
#include "tests/support/support.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> photo_files() {
  std::vector<fs::path> files;
  if (test::photos().empty()) return files;
  for (const auto& entry : fs::recursive_directory_iterator(test::photos())) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

constexpr const char* kSkipped = "set FT_PHOTOS to a folder with train/ and val/ to run this test";

TEST(ImagePhotos, every_photo_decodes_and_other_formats_are_named) {
  const auto files = photo_files();
  if (files.empty()) GTEST_SKIP() << kSkipped;
  ImageReader reader({ResizeMode::crop, 224, 224, 256});
  std::vector<uint8_t> slot(reader.slot_bytes());
  size_t decoded = 0, others = 0;
  for (const fs::path& path : files) {
    const std::string bytes = test::read_file(path);
    const FileKind kind = sniff(image_bytes(read_image_file(path)));
    const Error e = test::error_of([&] { reader.read(path, {}, slot.data()); });
    if (is_decodable(kind)) {
      EXPECT_EQ(e.number(), 0) << e.line();
      ++decoded;
    } else {
      EXPECT_EQ(e.number(), 2104) << e.line();
      ++others;
    }
  }
  EXPECT_GT(decoded, 0u);
  std::printf("%zu photos decoded, %zu files of other formats refused\n", decoded, others);
}

TEST(ImagePhotos, every_cut_of_a_photo_is_refused) {
  const auto files = photo_files();
  if (files.empty()) GTEST_SKIP() << kSkipped;
  const Rng rng(11, RngPurpose::test);
  uint64_t draw = 0;
  int photos = 0;
  for (size_t i = 0; i < files.size() && photos < 30; i += std::max<size_t>(1, files.size() / 31)) {
    const FileBytes file = read_image_file(files[i]);
    const ByteSpan bytes = image_bytes(file);
    if (sniff(bytes) != FileKind::jpeg) continue;
    ++photos;
    const size_t end = bytes.size() - 1;
    for (int cut = 0; cut < 20; ++cut) {
      const size_t n = rng.below(draw++, static_cast<uint32_t>(end));
      const Error e = test::error_of([&] { decode_image(bytes.first(n), files[i].string()); });
      EXPECT_NE(e.number(), 0) << files[i] << " cut at " << n;
    }
  }
  EXPECT_GT(photos, 0);
}

}  // namespace
}  // namespace ft
