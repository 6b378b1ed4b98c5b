// What is written as PyTorch and safetensors write it is read back by the readers of these formats, number for number.
#include "io/torch_writer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/safetensors_writer.h"
#include "io/source_file.h"
#include "io/zip_entries.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::le;

const std::vector<float> kSix = {0, 1, -2.5f, 3e-40f, 4, 5}, kOne = {7};
const int64_t kCount = 9;

std::vector<PlainTensor> sample() {
  return {
      {"a.weight", {2, 3}, PlainTensor::Type::f32, std::as_bytes(std::span(kSix))},
      {"a.num_batches_tracked", {}, PlainTensor::Type::i64, std::as_bytes(std::span(&kCount, 1))},
      {"a.bias", {1}, PlainTensor::Type::f32, std::as_bytes(std::span(kOne))}};
}

std::string torch_text() { return std::string(torch_file(sample()).join().text()); }
std::string safetensors_text(const std::map<std::string, std::string>& metadata = {}) {
  return std::string(safetensors_file(sample(), metadata).join().text());
}

const SourceTensor& find(const SourceFile& file, std::string_view name) {
  return *std::ranges::find(file.tensors, name, &SourceTensor::name);
}

TEST(TorchWriter, both_formats_are_read_back_bit_for_bit) {
  for (const std::string& bytes : {torch_text(), safetensors_text({{"format", "pt"}})}) {
    const SourceFile file = open_source(as_bytes(bytes), "f");
    ASSERT_EQ(file.tensors.size(), 3u);
    EXPECT_EQ(find(file, "a.weight").shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(find(file, "a.weight").read(), kSix);
    EXPECT_EQ(find(file, "a.bias").shape, std::vector<int64_t>{1});
    EXPECT_EQ(find(file, "a.bias").read(), kOne);
    EXPECT_TRUE(find(file, "a.num_batches_tracked").shape.empty());
    EXPECT_EQ(test::error_number([&] { find(file, "a.num_batches_tracked").read(); }), 2357);
  }
}

TEST(TorchWriter, the_order_is_kept_and_storages_lie_at_multiples_of_64_bytes) {
  const std::string bytes = torch_text();
  const SourceFile file = open_source(as_bytes(bytes), "f.pth");
  EXPECT_EQ(file.format, SourceFormat::torch);
  EXPECT_EQ(file.tensors[1].name, "a.num_batches_tracked");
  std::vector<std::string> names;
  for (const ZipEntry& entry : read_zip(as_bytes(bytes), "f.pth")) {
    names.push_back(entry.name);
    const auto at = reinterpret_cast<const char*>(entry.data.data()) - bytes.data();
    EXPECT_EQ(at % 64, 0) << entry.name;
    if (entry.name != "archive/data/1") continue;
    EXPECT_EQ(std::string(bytes, static_cast<size_t>(at), 8), le(kCount));
  }
  EXPECT_EQ(names,
            (std::vector<std::string>{"archive/data.pkl", "archive/byteorder", "archive/data/0",
                                      "archive/data/1", "archive/data/2", "archive/version"}));
}

TEST(TorchWriter, equal_tensors_make_equal_files) {
  EXPECT_EQ(torch_text(), torch_text());
  EXPECT_EQ(safetensors_text(), safetensors_text());
}

TEST(SafetensorsWriter, numbers_are_aligned_and_metadata_is_text) {
  const std::string bytes = safetensors_text({{"format", "pt"}, {"classes", "[\"ant\",\"bee\"]"}});
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(bytes.size(), 8 + length + 8 + 4 * (kSix.size() + kOne.size()));
  const std::string header = bytes.substr(8, length);
  EXPECT_NE(header.find(R"("__metadata__":{"classes":"[\"ant\",\"bee\"]","format":"pt"})"),
            std::string::npos)
      << header;
  EXPECT_NE(
      header.find(R"("a.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[0,8]})"),
      std::string::npos)
      << header;
  EXPECT_NE(header.find(R"("a.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]})"),
            std::string::npos)
      << header;
}

TEST(BytePieces, texts_and_borrowed_bytes_keep_their_order) {
  const std::string long_run = "borrowed";
  BytePieces inner, outer;
  inner.borrow(as_bytes(long_run));
  inner.borrow({});
  inner.add("c");
  outer.add("a");
  outer.add("b");
  outer.add(std::move(inner));
  outer.borrow(as_bytes(long_run));
  outer.add("d");
  EXPECT_EQ(outer.size(), 20u);
  EXPECT_EQ(outer.join().text(), "abborrowedcborrowedd");
}

}  // namespace
}  // namespace ft
