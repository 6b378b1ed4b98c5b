// Caffe's messages: both forms of layers, batch-norms divided by their factor, and every cut or contradiction refused.
#include "io/caffe_file.h"

#include <gtest/gtest.h>

#include "io/source_file.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::error_number;
using test::le;
using test::raw;
using Floats = std::vector<float>;
using Sides = std::vector<int64_t>;

// ---- protobuf's wire format

std::string varint(uint64_t n) {
  std::string bytes;
  for (; n >= 0x80; n >>= 7) bytes += static_cast<char>(n | 0x80);
  return bytes + static_cast<char>(n);
}
std::string field(uint32_t number, uint64_t value) { return varint(number << 3) + varint(value); }
std::string field(uint32_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}

std::string blob(const Sides& shape, const Floats& values) {
  std::string packed;
  for (int64_t side : shape) packed += varint(static_cast<uint64_t>(side));
  return field(5, raw(values)) + field(7, field(1, packed));
}
// As Caffe wrote them first: always four sides.
std::string old_blob(const Sides& shape, const Floats& values) {
  std::string bytes;
  for (uint32_t i = 0; i < 4; ++i) bytes += field(i + 1, static_cast<uint64_t>(shape[i]));
  return bytes + field(5, raw(values));
}
std::string layer(const std::string& name, const std::string& type,
                  const std::vector<std::string>& blobs) {
  std::string bytes = field(1, name) + field(2, type);
  for (const std::string& b : blobs) bytes += field(7, b);
  return field(100, bytes);
}
std::string old_layer(const std::string& name, const std::vector<std::string>& blobs) {
  std::string bytes = field(4, name) + field(5, uint64_t{4});
  for (const std::string& b : blobs) bytes += field(6, b);
  return field(2, bytes);
}
std::string net(const std::string& layers) { return field(1, std::string("net")) + layers; }

SourceFile open(const std::string& bytes) { return open_source(as_bytes(bytes), "f.caffemodel"); }
int number_of(const std::string& bytes) {
  return error_number([&] {
    for (const SourceTensor& t : open(bytes).tensors) t.read();
  });
}

void expect_tensor(const SourceTensor& t, const std::string& name, const Sides& shape,
                   const Floats& values) {
  EXPECT_EQ(t.name, name);
  EXPECT_EQ(t.shape, shape) << name;
  EXPECT_EQ(t.read(), values) << name;
}

TEST(CaffeFile, layers_of_the_second_form_and_batch_norms) {
  const std::string bytes =
      net(layer("data", "Input", {}) +
          layer("conv1", "Convolution", {blob({2, 1, 1, 2}, {1, 2, 3, 4}), blob({2}, {5, 6})}) +
          layer("bn_conv1", "BatchNorm", {blob({2}, {8, 4}), blob({2}, {6, 2}), blob({1}, {4})}) +
          layer("scale_conv1", "Scale", {blob({2}, {1, 2}), blob({2}, {3, 4})}) +
          layer("fc", "InnerProduct", {blob({1, 2}, {7, 8})}));
  const SourceFile file = open(bytes);
  EXPECT_EQ(file.format, SourceFormat::caffe);
  ASSERT_EQ(file.tensors.size(), 7u);
  expect_tensor(file.tensors[0], "conv1/weight", {2, 1, 1, 2}, {1, 2, 3, 4});
  expect_tensor(file.tensors[1], "conv1/bias", {2}, {5, 6});
  expect_tensor(file.tensors[2], "bn_conv1/mean", {2}, {2, 1});
  expect_tensor(file.tensors[3], "bn_conv1/variance", {2}, {1.5F, 0.5F});
  expect_tensor(file.tensors[4], "scale_conv1/gamma", {2}, {1, 2});
  expect_tensor(file.tensors[5], "scale_conv1/beta", {2}, {3, 4});
  expect_tensor(file.tensors[6], "fc/weight", {1, 2}, {7, 8});
}

TEST(CaffeFile, layers_of_the_first_form_lose_the_sides_that_only_fill_up) {
  const std::string bytes = net(
      old_layer("conv1", {old_blob({2, 1, 1, 2}, {1, 2, 3, 4}), old_blob({1, 1, 1, 2}, {5, 6})}) +
      old_layer("fc6", {old_blob({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6})}));
  const SourceFile file = open(bytes);
  ASSERT_EQ(file.tensors.size(), 3u);
  expect_tensor(file.tensors[0], "conv1/weight", {2, 1, 1, 2}, {1, 2, 3, 4});
  expect_tensor(file.tensors[1], "conv1/bias", {2}, {5, 6});
  expect_tensor(file.tensors[2], "fc6/weight", {2, 3}, {1, 2, 3, 4, 5, 6});
}

TEST(CaffeFile, epsilon_doubles_and_a_factor_of_zero) {
  const std::string epsilon = varint(139 << 3 | 2) + varint(5) + varint(3 << 3 | 5) + le(0.001F);
  const std::string doubles = field(8, raw<double>({0.5})) + field(7, field(1, varint(1)));
  const std::string bytes =
      net(field(100, field(1, std::string("bn")) + field(2, std::string("BatchNorm")) + epsilon +
                         field(7, doubles) + field(7, blob({1}, {9})) + field(7, blob({1}, {0}))));
  const SourceFile file = open(bytes);
  EXPECT_EQ(file.epsilon.at("bn"), static_cast<double>(0.001F));
  EXPECT_EQ(file.tensors[0].read(), Floats{0});  // as Caffe: nothing was averaged yet
}

TEST(CaffeFile, every_cut_and_every_contradiction_is_refused) {
  const std::string good =
      net(layer("conv1", "Convolution", {blob({2, 1, 1, 2}, {1, 2, 3, 4}), blob({2}, {5, 6})}));
  EXPECT_EQ(number_of(good), 0);
  const size_t name = net("").size();  // a file that ends there has no layers
  for (size_t n = 1; n < good.size(); ++n)
    EXPECT_EQ(number_of(good.substr(0, n)), 2385) << n << " of " << name;
  const auto with = [](const std::string& b) { return number_of(net(layer("c", "Scale", {b}))); };
  EXPECT_EQ(with(blob({3}, {1, 2})), 2385);
  EXPECT_EQ(with(blob({int64_t{1} << 40, int64_t{1} << 40}, {1, 2})), 2385);
  EXPECT_EQ(with(blob({-2}, {1, 2})), 2385);
  EXPECT_EQ(with(blob(Sides(9, 1), {1})), 2385);
  EXPECT_EQ(with(blob({2}, {1, 2}) + field(5, raw<float>({3}))), 2385);
  EXPECT_EQ(with(field(7, field(1, varint(2))) + field(5, std::string(7, 'x'))), 2385);
  EXPECT_EQ(number_of(net(layer("bn", "BatchNorm", {blob({1}, {1}), blob({1}, {1})}))), 2385);
  EXPECT_EQ(number_of(net(varint(100 << 3) + varint(7))), 2385);
  EXPECT_EQ(number_of(net(varint(3 << 3 | 3))), 2385);                        // a group
  EXPECT_EQ(number_of(net(varint(3 << 3) + std::string(11, '\xff'))), 2385);  // no end
  EXPECT_EQ(number_of(net(field(2, field(1, std::string("oldest"))))), 2385);
}

TEST(CaffeFile, caffenet_is_not_taken_for_alexnet) {
  const auto order = [](const char* a, const char* b) {
    return number_of(
        net(layer("conv1", "Convolution", {blob({1}, {1})}) + layer(a, "", {}) + layer(b, "", {})));
  };
  EXPECT_EQ(order("norm1", "pool1"), 0);
  EXPECT_EQ(order("pool1", "norm1"), 2386);
}

}  // namespace
}  // namespace ft
