// MATLAB files of version 7.3: plain arrays by layer and role, in HDF5's order of MATLAB's columns; all else is refused.
#include "io/mat_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "io/hdf5_writer.h"
#include "io/source_file.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::error_number;
using Floats = std::vector<float>;
using Sides = std::vector<int64_t>;

// The 128 bytes of MATLAB, then zeros to byte 512.
std::string as_mat(hdf5::Writer& writer) {
  std::string bytes(writer.finish().text());
  std::string head = "MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Jan  1 00:00:00 2022";
  head.resize(124, ' ');
  head += std::string("\x00\x02IM", 4);
  return bytes.replace(0, head.size(), head);
}

// Arrays with MATLAB's sides; HDF5 has them in reverse.
class Mat {
 public:
  void array(const std::string& name, Sides matlab, const std::string& kind = "single") {
    std::reverse(matlab.begin(), matlab.end());
    Floats values(static_cast<size_t>(element_count(matlab)));
    std::iota(values.begin(), values.end(), 0.F);
    writer.write("/" + name, matlab, std::span<const float>(values));
    writer.attribute("/" + name, "MATLAB_class", kind);
  }
  std::string bytes() { return as_mat(writer); }
  hdf5::Writer writer{512};
};

SourceFile open(const std::string& bytes) { return open_source(as_bytes(bytes), "f.mat"); }

TEST(MatFile, arrays_get_layer_role_and_the_shape_of_the_parameter) {
  Mat mat;
  mat.array("conv1_weight", {11, 12, 3, 96});
  mat.array("conv1_bias", {1, 1, 96});
  mat.array("conv2_weight", {5, 6, 48, 128, 2});
  mat.array("conv2_bias", {1, 1, 128, 2});
  mat.array("fc6_weight", {40, 90});
  mat.array("fc6_bias", {40, 1});
  mat.array("bn2a_branch2a_gamma", {1, 1, 64});
  mat.array("bn2a_branch2a_variance", {1, 1, 64});
  mat.array("something", {2, 2});
  const std::string bytes = mat.bytes();
  const SourceFile file = open(bytes);
  EXPECT_EQ(file.format, SourceFormat::matlab);
  const std::vector<std::pair<std::string, Sides>> expected = {
      {"conv1/weight", {96, 3, 12, 11}},
      {"conv1/bias", {96}},
      {"conv2/weight", {256, 48, 6, 5}},
      {"conv2/bias", {256}},
      {"fc6/weight", {90, 40}},
      {"fc6/bias", {40}},
      {"bn2a_branch2a/gamma", {64}},
      {"bn2a_branch2a/variance", {64}},
      {"something", {2, 2}},
  };
  ASSERT_EQ(file.tensors.size(), expected.size());
  const auto find = [&](const std::string& name) {
    return std::ranges::find(file.tensors, name, &SourceTensor::name);
  };
  for (const auto& [name, shape] : expected) {
    ASSERT_NE(find(name), file.tensors.end()) << name;
    EXPECT_EQ(find(name)->shape, shape) << name;
  }
  const Floats bias = find("conv2/bias")->read();
  EXPECT_EQ(bias.at(255), 255.F);  // the second group behind the first
  EXPECT_TRUE(file.input_mean.empty());
}

TEST(MatFile, the_mean_of_the_input_is_averaged_by_channel) {
  Mat image, channels, other;
  image.array("input_mean", {2, 5, 3});
  EXPECT_EQ(open(image.bytes()).input_mean, (std::vector<double>{4.5, 14.5, 24.5}));
  channels.array("input_mean", {1, 1, 3});
  EXPECT_EQ(open(channels.bytes()).input_mean, (std::vector<double>{0, 1, 2}));
  other.array("input_mean", {3, 1});
  EXPECT_EQ(error_number([&] { open(other.bytes()); }), 2383);
}

// C33
TEST(MatFile, other_versions_and_what_is_no_plain_array_are_refused) {
  std::string line;
  EXPECT_EQ(
      error_number([] { open("MATLAB 5.0 MAT-file, Platform: GLNXA64" + std::string(200, ' ')); },
                   &line),
      2351);
  EXPECT_NE(line.find("-v7.3"), std::string::npos) << line;
  Mat integers, object, structure, empty;
  integers.array("a_weight", {2, 2}, "int32");
  EXPECT_EQ(error_number([&] { open(integers.bytes()); }), 2382);
  object.writer.group("/#subsystem#");
  EXPECT_EQ(error_number([&] { open(object.bytes()); }), 2382);
  structure.writer.group("/net");
  EXPECT_EQ(error_number([&] { open(structure.bytes()); }), 2382);
  empty.array("a_bias", {2, 1});
  empty.writer.attribute("/a_bias", "MATLAB_empty", int64_t{1});
  EXPECT_EQ(error_number([&] { open(empty.bytes()); }), 2382);
  Mat cut;
  cut.array("a_weight", {2, 2});
  EXPECT_EQ(error_number([&] { open(cut.bytes().substr(0, 700)); }), 2340);
}

}  // namespace
}  // namespace ft
