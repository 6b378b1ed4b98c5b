// Files of torch.save: tensors are read as PyTorch would, whatever their strides, and broken files are refused.
#include "io/torch_file.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "io/source_file.h"
#include "io/zip_entries.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::error_number;
using test::raw;
using test::state_dict;
using test::torch_stream;
using test::torch_zip;
using test::TorchTensor;
using Floats = std::vector<float>;

const std::string kSix = raw<float>({0, 1, 2, 3, 4, 5});

TorchTensor tensor(std::vector<int64_t> shape, std::vector<int64_t> stride, int64_t offset = 0) {
  TorchTensor t;
  t.name = "a";
  t.elements = 6;
  t.offset = offset;
  t.shape = std::move(shape);
  t.stride = std::move(stride);
  return t;
}

SourceFile open(const std::string& bytes) { return open_source(as_bytes(bytes), "f.pth"); }
Floats numbers_of(const std::string& bytes, size_t i = 0) { return open(bytes).tensors[i].read(); }
int number_of(const std::string& bytes, std::string* line = nullptr) {
  return error_number(
      [&] {
        for (const SourceTensor& t : open(bytes).tensors) t.read();
      },
      line);
}
std::string zipped(const TorchTensor& t, const std::string& data = kSix) {
  return torch_zip(state_dict({t}), {{t.key, data}});
}

TEST(TorchFile, both_formats_give_the_same_tensors) {
  const TorchTensor t = tensor({2, 3}, {3, 1});
  const std::string zip = zipped(t),
                    stream = torch_stream(state_dict({t}, true), {{"0", kSix}}, {6});
  for (const std::string& bytes : {zip, stream}) {
    const SourceFile file = open(bytes);
    ASSERT_EQ(file.tensors.size(), 1u);
    EXPECT_EQ(file.tensors[0].name, "a");
    EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{2, 3}));
    EXPECT_EQ(file.tensors[0].read(), (Floats{0, 1, 2, 3, 4, 5}));
  }
}

TEST(TorchFile, strides_offsets_and_shared_storages_are_followed) {
  EXPECT_EQ(numbers_of(zipped(tensor({3, 2}, {1, 3}))), (Floats{0, 3, 1, 4, 2, 5}));  // transposed
  EXPECT_EQ(numbers_of(zipped(tensor({2}, {2}, 1))), (Floats{1, 3}));
  EXPECT_EQ(numbers_of(zipped(tensor({3}, {0}, 5))), (Floats{5, 5, 5}));  // expanded
  EXPECT_EQ(numbers_of(zipped(tensor({}, {}, 4))), (Floats{4}));
  EXPECT_EQ(numbers_of(zipped(tensor({0, 7}, {7, 1}))), Floats{});
  TorchTensor first = tensor({2}, {1}), second = tensor({2}, {1}, 2);
  second.name = "b";
  const std::string two = torch_zip(state_dict({first, second}), {{"0", kSix}});
  EXPECT_EQ(numbers_of(two, 0), (Floats{0, 1}));
  EXPECT_EQ(numbers_of(two, 1), (Floats{2, 3}));
}

TEST(TorchFile, other_number_types_are_converted_exactly_or_refused) {
  TorchTensor t = tensor({2}, {1});
  t.elements = 2;
  t.storage_class = "HalfStorage";
  EXPECT_EQ(numbers_of(zipped(t, raw<uint16_t>({0x3c00, 0x8001}))),
            (Floats{1, -5.9604644775390625e-8f}));
  t.storage_class = "BFloat16Storage";
  EXPECT_EQ(numbers_of(zipped(t, raw<uint16_t>({0x3f80, 0xc000}))), (Floats{1, -2}));
  t.storage_class = "DoubleStorage";
  EXPECT_EQ(numbers_of(zipped(t, raw<double>({0.5, -3}))), (Floats{0.5f, -3}));
  EXPECT_EQ(number_of(zipped(t, raw<double>({0.1, 0}))), 2357);
  t.storage_class = "LongStorage";
  EXPECT_EQ(number_of(zipped(t, raw<int64_t>({1, 2}))), 2357);
}

// C46: a file says its byte order; one that says a third is refused.
TEST(TorchFile, numbers_of_the_other_byte_order_are_turned) {
  const auto with = [](const std::string& data, const std::string& order) {
    return torch_zip(state_dict({tensor({6}, {1})}), {{"0", data}}, {{"archive/byteorder", order}});
  };
  std::string turned = kSix;
  for (size_t i = 0; i < turned.size(); i += 4)
    std::reverse(turned.begin() + i, turned.begin() + i + 4);
  EXPECT_EQ(numbers_of(with(turned, "big")), (Floats{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(numbers_of(with(kSix, "little")), (Floats{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(number_of(with(kSix, "middle")), 2366);
}

TEST(TorchFile, wrapped_dictionaries_are_found_and_other_content_is_not) {
  using namespace test::pickle;
  const std::string tensors = state_dict({tensor({6}, {1})});
  for (const char* key : {"state_dict", "model_state_dict", "model"})
    EXPECT_EQ(number_of(torch_zip(dict({{"epoch", number(3)}, {key, tensors}}), {{"0", kSix}})), 0);
  for (const std::string& content :
       {dict({{"weights", tensors}}), dict({{"state_dict", tensors}, {"model", tensors}}),
        number(1), dict({{"a", number(1)}})})
    EXPECT_EQ(number_of(torch_zip(content, {{"0", kSix}})), 2366);
}

// C42: what lies outside of its storage is refused before anything is allocated.
TEST(TorchFile, tensors_outside_of_their_storage_are_refused) {
  const int64_t large = int64_t{1} << 62;
  for (const TorchTensor& t :
       {tensor({7}, {1}), tensor({6}, {1}, 1), tensor({2}, {6}), tensor({1}, {1}, 6),
        tensor({2}, {large}), tensor({large, large}, {1, 1}), tensor({-1}, {1}), tensor({2}, {-1}),
        tensor({2}, {1}, -1), tensor({1}, {1}, large), tensor({2, 2}, {1}),
        tensor(std::vector<int64_t>(9, 1), std::vector<int64_t>(9, 1))})
    EXPECT_EQ(number_of(zipped(t)), 2365);
  EXPECT_EQ(number_of(zipped(tensor({6}, {1}), kSix + "x")), 2365);
  EXPECT_EQ(number_of(torch_zip(state_dict({tensor({6}, {1})}), {})), 2365);
  TorchTensor other = tensor({1}, {1});
  EXPECT_EQ(number_of(torch_zip(state_dict({tensor({6}, {1}), other}), {{"0", kSix}})), 2356);
  other.name = "b";
  other.elements = 3;
  EXPECT_EQ(number_of(torch_zip(state_dict({tensor({6}, {1}), other}), {{"0", kSix}})), 2365);
}

// C05: cut anywhere, and any bit flipped in a zip, whose checksums cover what they can.
TEST(TorchFile, every_cut_is_refused) {
  const std::string zip = zipped(tensor({6}, {1})),
                    stream = torch_stream(state_dict({tensor({6}, {1})}, true), {{"0", kSix}}, {6});
  for (size_t n = 0; n < zip.size(); ++n) EXPECT_NE(number_of(zip.substr(0, n)), 0) << n;
  for (size_t n = 0; n < stream.size(); ++n) EXPECT_NE(number_of(stream.substr(0, n)), 0) << n;
  EXPECT_NE(number_of(stream + "x"), 0);
}

TEST(TorchFile, no_flipped_byte_of_the_archive_changes_a_number) {
  const std::string whole = zipped(tensor({6}, {1}));
  for (size_t n = 0; n < whole.size(); ++n) {
    std::string bytes = whole;
    bytes[n] = static_cast<char>(bytes[n] ^ 0x55);
    std::string name;
    Floats values;
    const int number = error_number([&] {
      const SourceFile file = open(bytes);
      ASSERT_EQ(file.tensors.size(), 1u) << n;
      name = file.tensors[0].name;
      values = file.tensors[0].read();
    });
    if (number != 0) continue;
    EXPECT_EQ(name, "a") << n;
    EXPECT_EQ(values, (Floats{0, 1, 2, 3, 4, 5})) << n;
  }
}

TEST(ZipEntries, contradictions_and_odd_kinds_are_refused) {
  const auto number = [](const std::string& bytes) {
    return error_number([&] { read_zip(as_bytes(bytes), "f.zip"); });
  };
  EXPECT_EQ(number(test::zip({{"a", "xyz"}})), 0);
  EXPECT_EQ(number(test::zip({{"a", "xyz"}}, true)), 0);
  EXPECT_EQ(number(test::zip({{"a", "1"}, {"a", "2"}})), 2360);
  EXPECT_EQ(number(test::zip({{"../a", "1"}})), 2361);
  EXPECT_EQ(number(test::zip({{"/a", "1"}})), 2361);
  EXPECT_EQ(number(test::zip({{"a\\b", "1"}})), 2361);
  EXPECT_EQ(number(test::zip({{"a", "1", 1}})), 2361);
  EXPECT_NE(number("x" + test::zip({{"a", "1"}})), 0);
  EXPECT_NE(number(test::zip({{"a", "1"}}) + "x"), 0);
  const std::string two = test::zip({{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(number(two.substr(0, two.find("PK\x01\x02"))), 2360);  // no central directory
  std::string sizes = two;
  sizes[sizes.find("PK\x01\x02") + 24] = 2;  // another size than beside the entry
  EXPECT_EQ(number(sizes), 2360);
  EXPECT_NE(number("PK\x03\x04"), 0);
}

// C44: torch.save stores; what is compressed is not unpacked.
TEST(TorchFile, compressed_archives_are_refused) {
  const std::string bytes =
      test::zip({{"archive/data.pkl", test::pickle::program(state_dict({tensor({6}, {1})}))},
                 {"archive/data/0", kSix, 0, 8}});
  EXPECT_EQ(number_of(bytes), 2361);
}

TEST(SourceFile, content_decides_and_unknown_content_is_named) {
  std::string line;
  EXPECT_EQ(number_of("GIF89a and more", &line), 2351);
  EXPECT_EQ(number_of("version https://git-lfs.github.com/spec/v1\n", &line), 2351);
  EXPECT_NE(line.find("LFS"), std::string::npos) << line;
  EXPECT_EQ(number_of(test::zip({{"word/document.xml", "<x/>"}})), 2351);
  EXPECT_EQ(number_of(torch_zip(state_dict({tensor({6}, {1})}), {{"0", kSix}},
                                {{"archive/constants.pkl", "x"}})),
            2351);
}

}  // namespace
}  // namespace ft
