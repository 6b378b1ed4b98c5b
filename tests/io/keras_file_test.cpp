// Keras files: names and roles in every form that Keras wrote, text of variable length read without trust, and nothing
// of a description interpreted. The arrays themselves are hdf5_test.cpp's.
#include "io/keras_file.h"

#include <gtest/gtest.h>
#include <hdf5.h>

#include <algorithm>

#include "io/hdf5_writer.h"
#include "io/source_file.h"
#include "tests/io/file_faults.h"
#include "tests/io/source_samples.h"
#include "tests/support/support.h"

namespace ft {
namespace {

using test::as_bytes;
using test::error_number;
using Floats = std::vector<float>;
using Names = std::vector<std::string>;

const Floats kTwo = {1, 2};

// Makes the groups of `path` that are not there.
class Sample {
 public:
  void array(const std::string& path, const Floats& values = kTwo) {
    for (size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
      const std::string group = path.substr(0, at);
      if (std::ranges::find(groups_, group) != groups_.end()) continue;
      groups_.push_back(group);
      file.group(group);
    }
    file.write(path, {static_cast<int64_t>(values.size())}, std::span<const float>(values));
  }
  std::string bytes() { return std::string(file.finish().text()); }

  hdf5::Writer file;

 private:
  Names groups_;
};

// Adds attributes of variable-length text to the objects named, as h5py does.
std::string with_texts(const std::string& bytes,
                       const std::vector<std::array<std::string, 3>>& texts) {
  test::TempDir dir;
  const std::string path = (dir / "f.h5").string();
  test::write_file(path, bytes);
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
  H5Tset_size(type, H5T_VARIABLE);
  for (const auto& [object, name, text] : texts) {
    const hid_t at = H5Oopen(file, object.c_str(), H5P_DEFAULT);
    const hid_t attribute = H5Acreate2(at, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT);
    const char* value = text.c_str();
    EXPECT_GE(H5Awrite(attribute, type, &value), 0);
    H5Aclose(attribute);
    H5Oclose(at);
  }
  H5Sclose(space);
  H5Tclose(type);
  H5Fclose(file);
  return test::read_file(path);
}

SourceFile open(const std::string& bytes) { return open_source(as_bytes(bytes), "f.h5"); }
Names names_of(const SourceFile& file) {
  Names names;
  for (const SourceTensor& t : file.tensors) names.push_back(t.name);
  return names;
}

TEST(KerasFile, names_of_every_age_become_layer_and_role) {
  const std::pair<const char*, const char*> kArrays[] = {
      {"/conv1/conv1_W:0", "conv1/weight"},  // Keras 1
      {"/conv2/conv2_b_1:0", "conv2/bias"},
      {"/bn_a/bn_a_gamma:0", "bn_a/gamma"},
      {"/bn_b/bn_b_beta_1:0", "bn_b/beta"},
      {"/bn_c/bn_c_running_mean:0", "bn_c/mean"},
      {"/bn_d/bn_d_running_std_1:0", "bn_d/variance"},
      {"/block1_conv1/block1_conv1/kernel:0", "block1_conv1/weight"},  // Keras 2
      {"/fc1/fc1_2/bias:0", "fc1/bias"},
      {"/n/n/moving_mean:0", "n/mean"},
      {"/m/m/moving_variance", "m/variance"},  // Keras 3
      {"/odd/odd/embeddings", "odd/embeddings"},
      {"/inner/conv9/kernel:0", "conv9/weight"},  // a model in a model
  };
  for (const bool whole : {false, true}) {
    Sample sample;
    if (whole) sample.array("/optimizer_weights/a/kernel");
    for (const auto& [path, name] : kArrays)
      sample.array((whole ? "/model_weights" : "") + std::string(path));
    const std::string bytes = sample.bytes();
    const SourceFile file = open(bytes);
    EXPECT_EQ(file.format, SourceFormat::keras);
    Names expected, names = names_of(file);
    for (const auto& [path, name] : kArrays) expected.emplace_back(name);
    std::ranges::sort(expected);
    std::ranges::sort(names);
    EXPECT_EQ(names, expected) << whole;
    EXPECT_EQ(file.tensors[0].read(), kTwo);
    EXPECT_EQ(file.tensors[0].shape, std::vector<int64_t>{2});
  }
}

std::string current_file(const std::string& name = "conv1_conv") {
  Sample sample;
  for (const char* i : {"1", "0"})
    sample.array(std::string("/layers/conv2d/vars/") + i, {i[0] - 48.F});
  for (const char* i : {"0", "1", "2", "3"})
    sample.array(std::string("/layers/batch_normalization_7/vars/") + i);
  sample.array("/layers/dense_1/vars/0");
  sample.array("/layers/lstm/vars/0");
  sample.file.group("/layers/activation");
  sample.array("/optimizer/vars/0");
  const std::string bytes = sample.bytes();
  if (name.empty()) return bytes;
  return with_texts(bytes, {{"/layers/conv2d/vars", "name", name},
                            {"/layers/batch_normalization_7/vars", "name", "conv1_bn"},
                            {"/layers/dense_1/vars", "name", "predictions"},
                            {"/layers/lstm/vars", "name", "strange"}});
}

TEST(KerasFile, numbered_variables_get_their_roles_from_the_class_and_their_layer_from_its_name) {
  const std::string bytes = current_file();
  const SourceFile file = open(bytes);
  const Names expected = {"conv1_conv/weight",  "conv1_conv/bias", "conv1_bn/gamma",
                          "conv1_bn/beta",      "conv1_bn/mean",   "conv1_bn/variance",
                          "predictions/weight", "strange/0"};
  EXPECT_EQ(names_of(file), expected);
  EXPECT_EQ(file.tensors[0].read(), Floats{0});
  EXPECT_EQ(file.tensors[1].read(), Floats{1});
  EXPECT_EQ(open(current_file("")).tensors[2].name, "batch_normalization_7/gamma");
  EXPECT_EQ(error_number([] { open(current_file(std::string(300, 'n'))); }), 2350);
}

// The library believes lengths in heaps, so ours must not: no flipped byte leads out of the file, or to another text.
TEST(KerasFile, texts_of_variable_length_are_read_without_trust) {
  const std::string name = "conv1_conv_with_a_long_name", whole = current_file(name);
  ASSERT_EQ(open(whole).tensors[0].name, name + "/weight");
  const size_t text = whole.find(name);
  ASSERT_NE(text, std::string::npos);
  const size_t heap = whole.rfind("GCOL", text);
  ASSERT_NE(heap, std::string::npos);
  int refused = 0;
  for (size_t n = heap; n < text; ++n)
    for (const int flip : {0x01, 0x80, 0xff}) {
      std::string bytes = whole;
      bytes[n] = static_cast<char>(bytes[n] ^ flip);
      Names names;
      const int number = error_number([&] { names = names_of(open(bytes)); });
      refused += number != 0;
      if (number == 0) {
        EXPECT_EQ(names, names_of(open(whole))) << n;
      }
    }
  EXPECT_GT(refused, 20);
  // A longer object than the reference says is cut there, a shorter one is an error.
  const size_t reference = whole.find(test::le(static_cast<uint32_t>(name.size())) +
                                      test::le(static_cast<uint64_t>(heap)));
  ASSERT_NE(reference, std::string::npos);
  std::string bytes = whole;
  bytes[reference] = 5;
  EXPECT_EQ(open(bytes).tensors[0].name, "conv1/weight");
  bytes[reference] = static_cast<char>(name.size() + 9);
  EXPECT_EQ(error_number([&] { open(bytes); }), 2342);
  bytes = whole;
  bytes[reference + 8] = '\x7f';  // an address behind the end
  EXPECT_EQ(error_number([&] { open(bytes); }), 2342);
}

// C32: a description may hold code; only numbers called epsilon are looked at.
TEST(KerasFile, of_the_description_only_epsilons_are_read) {
  const auto with = [](const std::string& description) {
    Sample sample;
    sample.array("/model_weights/bn/bn/gamma");
    return open(with_texts(sample.bytes(), {{"/", "model_config", description}})).epsilon;
  };
  const auto epsilons = with(
      R"({"class_name":"Functional","config":{"layers":[)"
      R"({"class_name":"Lambda","config":{"name":"evil","function":["4wEAAAAAAAAAAAAAAAEAAAA=",null,null]}},)"
      R"({"class_name":"BatchNormalization","config":{"name":"bn","epsilon":0.001}},)"
      R"({"class_name":"Dense","config":{"name":"d"}},7,{"config":3},{"config":{"name":1,"epsilon":2}},{"config":{"name":"s","epsilon":"x"}}]}})");
  EXPECT_EQ(epsilons, (std::map<std::string, double>{{"bn", 0.001}}));
  for (const char* odd : {"{}", "[]", "7", R"({"config":[]})", R"({"config":{"layers":{}}})"})
    EXPECT_TRUE(with(odd).empty()) << odd;
  EXPECT_TRUE(with(std::string(100'000, '[') + std::string(100'000, ']')).empty());
  EXPECT_EQ(error_number([&] { with("{\"config\":"); }), 2380);
}

// C26: only so deep, and only so many, whatever links make of it.
TEST(KerasFile, depth_and_circles_end) {
  Sample deep, deeper;
  deep.array("/a/b/c/d/kernel");
  EXPECT_EQ(open(deep.bytes()).tensors[0].name, "d/weight");
  deeper.array("/a/b/c/d/e/kernel");
  const std::string bytes = deeper.bytes();
  EXPECT_EQ(error_number([&] { open(bytes); }), 2350);
  test::TempDir dir;
  const std::string path = (dir / "f.h5").string();
  const auto linked = [&](const std::vector<std::pair<std::string, std::string>>& groups) {
    Sample sample;
    for (const char* group : {"/f", "/g", "/h"}) sample.array(std::string(group) + "/kernel");
    test::write_file(path, sample.bytes());
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    for (const auto& [from, to] : groups)
      for (int i = 0; i < 200; ++i)
        H5Lcreate_hard(file, to.c_str(), file, (from + "/" + std::to_string(i)).c_str(),
                       H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    const std::string loop = test::read_file(path);
    return error_number([&] { open(loop); });
  };
  EXPECT_EQ(linked({{"/f", "/f"}}), 2350);                // a circle
  EXPECT_EQ(linked({{"/f", "/g"}, {"/g", "/h"}}), 2350);  // 40,000 ways to one array
}

// C31, C25: what is no array of floats is refused by name, what is no parameter stays visible.
TEST(KerasFile, arrays_of_other_types_are_refused_by_name) {
  hdf5::Writer writer;
  writer.group("/conv1");
  const std::vector<int64_t> whole = {1, 2};
  writer.write("/conv1/kernel:0", {2}, std::span<const int64_t>(whole));
  const std::string bytes(writer.finish().text());
  std::string line;
  EXPECT_EQ(error_number([&] { open(bytes); }, &line), 2347);
  EXPECT_NE(line.find("conv1/kernel:0"), std::string::npos) << line;
}

TEST(KerasFile, doubles_become_floats_where_that_is_exact) {
  const auto with = [](double value) {
    hdf5::Writer writer;
    writer.group("/conv1");
    writer.write("/conv1/kernel:0", {1}, std::span<const double>(&value, 1));
    const std::string bytes(writer.finish().text());
    return open(bytes).tensors[0].read();
  };
  EXPECT_EQ(with(0.25), Floats{0.25F});
  EXPECT_EQ(error_number([&] { with(0.1); }), 2357);
}

// C20: nothing of another file is read, and none is opened.
TEST(KerasFile, layers_in_other_files_are_refused) {
  test::TempDir dir;
  const std::string other = (dir / "other.h5").string(), path = (dir / "f.h5").string();
  Sample sample;
  sample.array("/conv0/kernel");
  const std::string bytes = sample.bytes();
  test::write_file(other, bytes);
  for (const char* place : {"/conv1", "/conv0/bias"}) {
    test::write_file(path, bytes);
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    H5Lcreate_external(other.c_str(), "/conv0", file, place, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    const std::string hostile = test::read_file(path);
    const test::FileFaults watch({});
    EXPECT_EQ(error_number([&] { open(hostile); }), 2344) << place;
    EXPECT_EQ(std::ranges::count(watch.opened(), other), 0);
  }
}

// C05
TEST(KerasFile, every_cut_is_refused) {
  const std::string whole = current_file();
  for (size_t n = 0; n < whole.size(); n += 7) {
    const std::string cut = whole.substr(0, n);
    EXPECT_NE(error_number([&] { open(cut); }), 0) << n;
  }
}

// C34
TEST(KerasFile, user_blocks_are_found) {
  for (const size_t block : {512, 1024, 2048}) {
    hdf5::Writer writer(block);
    writer.group("/conv1");
    writer.write("/conv1/kernel:0", {2}, std::span<const float>(kTwo));
    std::string bytes(writer.finish().text());
    EXPECT_EQ(open(bytes).tensors.size(), 1u) << block;
    bytes.replace(0, 6, "ftrun-");
    EXPECT_EQ(open(bytes).tensors.size(), 1u) << block;
    bytes.replace(0, 14, "ftrun-weights ");  // our own
    EXPECT_EQ(error_number([&] { open(bytes); }), 2351) << block;
  }
}

}  // namespace
}  // namespace ft
