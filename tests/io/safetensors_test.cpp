// safetensors: every rule of the format, kept and broken.
#include <gtest/gtest.h>

#include "io/source_file.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::error_number;
using test::raw;
using test::safetensors;
using Floats = std::vector<float>;

SourceFile open(const std::string& bytes) { return open_source(as_bytes(bytes), "f.safetensors"); }
int number_of(const std::string& header, const std::string& data = raw<float>({1, 2}),
              std::string* line = nullptr) {
  const std::string bytes = safetensors(header, data);
  return error_number(
      [&] {
        for (const SourceTensor& t : open(bytes).tensors) t.read();
      },
      line);
}
std::string entry(const std::string& type, const std::string& shape, const std::string& range) {
  return "{\"a\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + range +
         "}}";
}

TEST(Safetensors, tensors_are_read_in_the_order_of_their_numbers) {
  const std::string bytes = safetensors(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},)"
      R"("a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]},"e":{"dtype":"F16","shape":[0],"data_offsets":[12,12]}}   )",
      raw<float>({1, 2, 3}));
  const SourceFile file = open(bytes);
  ASSERT_EQ(file.tensors.size(), 3u);
  EXPECT_EQ(file.tensors[0].name, "a");
  EXPECT_EQ(file.tensors[0].shape, (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(file.tensors[0].read(), (Floats{1, 2}));
  EXPECT_EQ(file.tensors[1].read(), Floats{3});
  EXPECT_EQ(file.tensors[2].read(), Floats{});
}

TEST(Safetensors, other_types_are_converted_exactly_or_refused) {
  EXPECT_EQ(number_of(entry("F64", "[1]", "[0,8]"), raw<double>({0.25})), 0);
  EXPECT_EQ(number_of(entry("F64", "[1]", "[0,8]"), raw<double>({0.1})), 2357);
  EXPECT_EQ(number_of(entry("BF16", "[4]", "[0,8]")), 0);
  EXPECT_EQ(number_of(entry("I64", "[1]", "[0,8]")), 2357);
  EXPECT_EQ(number_of(entry("F4", "[16]", "[0,8]")), 2373);
}

TEST(Safetensors, header_lengths_are_checked_before_anything_is_read) {
  for (uint64_t length : {uint64_t{3}, uint64_t{100'000'001}, ~uint64_t{0}}) {
    const std::string bytes = test::le(length) + "{}";
    EXPECT_EQ(error_number([&] { open(bytes); }), 2370) << length;
  }
  for (size_t n = 1; n < 8; ++n) {
    const std::string bytes(n, '\0');
    EXPECT_EQ(error_number([&] { open(bytes); }), 2370) << n;
  }
}

TEST(Safetensors, headers_that_are_not_of_the_format_are_refused) {
  const std::string good = entry("F32", "[2]", "[0,8]");
  EXPECT_EQ(number_of(good), 0);
  for (const std::string& header :
       {std::string("[]"),
        std::string(" {}"),
        std::string("{"),
        std::string("{}{}"),
        std::string("{\"a\":1}"),
        std::string("{\"a\":{}}"),
        std::string("{\"a\":[]}"),
        good + "x",
        good + std::string(1, '\0'),
        std::string("{\"\xff\":{}}"),
        "{\"a\":" + std::string(100'000, '['),
        std::string(100'000, '{'),
        entry("F32", "[2.0]", "[0,8]"),
        entry("F32", "[1e3]", "[0,8]"),
        entry("F32", "[-0]", "[0,8]"),
        entry("F32", "[-2]", "[0,8]"),
        entry("F32", "[18446744073709551616]", "[0,8]"),
        entry("F32", "2", "[0,8]"),
        entry("F32", "[[2]]", "[0,8]"),
        entry("F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]"),
        std::string(
            "{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"),
        std::string("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}")})
    EXPECT_EQ(number_of(header), 2371) << header.substr(0, 80);
  EXPECT_EQ(number_of("{\"a\":" + good.substr(5, good.size() - 6) + ",\"a\":" + good.substr(5)),
            2356);
}

TEST(Safetensors, ranges_cover_the_data_once_and_agree_with_the_shape) {
  EXPECT_EQ(number_of(entry("F32", "[1]", "[0,8]")), 2373);
  EXPECT_EQ(number_of(entry("F32", "[2]", "[8,0]")), 2373);
  EXPECT_EQ(number_of(entry("F32", "[2]", "[0]")), 2373);
  EXPECT_EQ(number_of(entry("F32", "[4611686018427387904,4]", "[0,8]")), 2373);
  EXPECT_EQ(number_of(entry("F32", "[281474976710655,281474976710655]", "[0,8]")), 2373);
  EXPECT_EQ(number_of(entry("F32", "[1]", "[4,8]")), 2372);   // a hole
  EXPECT_EQ(number_of(entry("F32", "[1]", "[0,4]")), 2372);   // not to the end
  EXPECT_EQ(number_of(entry("F32", "[3]", "[0,12]")), 2372);  // beyond it
  const std::string one = R"({"dtype":"F32","shape":[2],"data_offsets":[0,8]})";
  EXPECT_EQ(number_of("{\"a\":" + one + ",\"b\":" + one + "}"), 2372);  // over each other
}

// C05
TEST(Safetensors, every_cut_is_refused) {
  const std::string whole = safetensors(entry("F32", "[2]", "[0,8]"), raw<float>({1, 2}));
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::string cut = whole.substr(0, n);
    EXPECT_NE(error_number([&] { open(cut); }), 0) << n;
  }
}

TEST(Safetensors, metadata_is_text_to_text) {
  const std::string good = entry("F32", "[2]", "[0,8]").substr(1);
  EXPECT_EQ(number_of("{\"__metadata__\":{}," + good), 0);
  for (const char* metadata :
       {"1", "{\"a\":1}", "{\"a\":null}", "\"x\"", "[]", "{\"a\":\"1\",\"a\":\"2\"}"})
    EXPECT_EQ(number_of(std::string("{\"__metadata__\":") + metadata + "," + good), 2374)
        << metadata;
}

}  // namespace
}  // namespace ft
