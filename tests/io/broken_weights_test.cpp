// Every reader of weight files against the same faults: arrays in HDF5 that lie elsewhere, are huge, or need a plugin
// (C21 to C24), and files of each format that are cut (C05).
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "io/hdf5_writer.h"
#include "io/sha256.h"
#include "io/source_file.h"
#include "io/weights.h"
#include "tests/io/file_faults.h"
#include "tests/io/foreign_hdf5.h"
#include "tests/io/source_samples.h"

namespace ft {
namespace {

using test::as_bytes;
using test::chunked;
using test::Handle;

// ---- one file a format

constexpr int64_t kSide = 40;  // 1,600 numbers an array

std::vector<float> numbers() {
  std::vector<float> values(kSide * kSide);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i) / 64;
  return values;
}

std::string our_file() {
  WeightFile w;
  w.model = "resnet50";
  w.recipe = {224, 224, ResizeMode::squash, 0, ColourOrder::rgb, 1, {0, 0, 0}, {1, 1, 1}};
  w.golden = Golden{1, 60, 80, 64, {1, 2}};
  for (const char* name : {"a", "b", "c"}) w.tensors.push_back({name, {kSide, kSide}, numbers()});
  return std::string(encode_weights(w).text());
}

std::string keras_file() {
  hdf5::Writer writer;
  for (const std::string layer : {"/conv1", "/conv2", "/conv3"}) {
    writer.group(layer);
    writer.write(layer + "/kernel:0", {kSide, kSide}, std::span<const float>(numbers()));
  }
  return std::string(writer.finish().text());
}

std::string mat_file() {
  hdf5::Writer writer(512);
  for (const std::string name : {"/fc6_weight", "/fc7_weight"}) {
    writer.write(name, {kSide, kSide}, std::span<const float>(numbers()));
    writer.attribute(name, "MATLAB_class", "single");
  }
  return std::string(writer.finish().text()).replace(0, 10, "MATLAB 7.3");
}

std::vector<test::TorchTensor> torch_tensors() {
  std::vector<test::TorchTensor> tensors(2);
  for (const size_t i : {0, 1}) {
    tensors[i].name = i == 0 ? "a" : "b";
    tensors[i].key = std::to_string(i);
    tensors[i].elements = kSide * kSide;
    tensors[i].shape = {kSide, kSide};
    tensors[i].stride = {kSide, 1};
  }
  return tensors;
}

std::string torch_zip_file() {
  const std::string bytes = test::raw(numbers());
  return test::torch_zip(test::state_dict(torch_tensors()), {{"0", bytes}, {"1", bytes}});
}

std::string torch_stream_file() {
  const std::string bytes = test::raw(numbers());
  return test::torch_stream(test::state_dict(torch_tensors(), true), {{"0", bytes}, {"1", bytes}},
                            {kSide * kSide, kSide * kSide});
}

std::string safetensors_file() {
  const std::string bytes = test::raw(numbers()), n = std::to_string(bytes.size());
  return test::safetensors(R"({"a":{"dtype":"F32","shape":[40,40],"data_offsets":[0,)" + n +
                               R"(]},"b":{"dtype":"F32","shape":[1600],"data_offsets":[)" + n +
                               "," + std::to_string(2 * bytes.size()) + "]}}",
                           bytes + bytes);
}

// A message of protobuf: field 1 the net's name, field 100 a layer with its name, its kind and a blob.
std::string caffe_file() {
  const auto varint = [](size_t n) {
    std::string bytes;
    for (; n >= 0x80; n >>= 7) bytes += static_cast<char>(n | 0x80);
    return bytes + static_cast<char>(n);
  };
  const auto field = [&](size_t number, const std::string& bytes) {
    return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
  };
  const std::string blob =
      field(5, test::raw(numbers())) + field(7, field(1, std::string("\x28\x28")));
  return field(1, "net") + field(100, field(1, "fc6") + field(2, "InnerProduct") + field(7, blob));
}

// Everything that a command reads of a file; the number of the error, which has to be one of bad input.
int number_of(std::span<const std::byte> bytes, const std::string& name) {
  try {
    if (name.ends_with(".ours")) {
      decode_weights(bytes, name);
    } else {
      for (const SourceTensor& t : open_source(bytes, name).tensors) t.read();
    }
  } catch (const Error& e) {
    EXPECT_EQ(static_cast<int>(e.status()), 2) << e.line();
    EXPECT_NE(e.line().find(name), std::string::npos) << e.line();
    return e.number();
  }
  return 0;
}

TEST(BrokenWeights, files_of_every_format_cut_at_400_lengths_are_refused) {
  const std::pair<const char*, std::string> kFiles[] = {{"f.ours", our_file()},
                                                        {"f.h5", keras_file()},
                                                        {"f.mat", mat_file()},
                                                        {"zip.pth", torch_zip_file()},
                                                        {"old.pth", torch_stream_file()},
                                                        {"f.safetensors", safetensors_file()},
                                                        {"f.caffemodel", caffe_file()}};
  for (const auto& [name, whole] : kFiles) {
    ASSERT_EQ(number_of(as_bytes(whole), name), 0) << name;
    ASSERT_GT(whole.size(), 4000u) << name;
    for (size_t i = 0; i < 400; ++i) {
      const size_t length = whole.size() * i / 400;
      // A copy of its own, so that a read behind the cut is one behind an allocation.
      const std::vector<std::byte> cut(as_bytes(whole).begin(),
                                       as_bytes(whole).begin() + static_cast<ptrdiff_t>(length));
      EXPECT_GE(number_of(cut, name), 2000) << name << " cut at " << length;
    }
  }
}

// ---- hostile arrays

// The three formats in HDF5, with the array that is exchanged.
struct Format {
  const char* name;
  std::string (*make)();
  const char* array;
};
constexpr Format kFormats[] = {{"f.ours", our_file, "/tensors/b"},
                               {"f.h5", keras_file, "/conv2/kernel:0"},
                               {"f.mat", mat_file, "/fc7_weight"}};

// The user block of ours, right again.
std::string sealed(std::string bytes) {
  std::string block = "ftrun-weights 1\nbytes " + std::to_string(bytes.size()) + "\nsha256 " +
                      sha256_hex(as_bytes(bytes).subspan(512)) + "\n";
  block.resize(512, '\0');
  return bytes.replace(0, 512, block);
}

// The file with its array made anew by `properties`, of these sides.
std::string hostile(const Format& format, hid_t properties, std::vector<hsize_t> sides,
                    bool written = false) {
  test::TempDir dir;
  const std::string path = (dir / "f.h5").string();
  test::write_file(path, format.make());
  {
    const Handle file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
    EXPECT_GE(H5Ldelete(file, format.array, H5P_DEFAULT), 0);
    const Handle space = H5Screate_simple(static_cast<int>(sides.size()), sides.data(), nullptr);
    const Handle set =
        H5Dcreate2(file, format.array, H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    size_t count = 1;
    for (hsize_t side : sides) count *= static_cast<size_t>(side);
    const std::vector<float> zeros(written ? count : 0);
    if (written) {
      EXPECT_GE(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros.data()), 0);
    }
  }
  const std::string bytes = test::read_file(path);
  return format.name == std::string("f.ours") ? sealed(bytes) : bytes;
}

// The number of the error, and that no file was opened whose name holds `forbidden`.
int number_without(const std::string& bytes, const Format& format, const std::string& forbidden) {
  const test::FileFaults watch({});
  const int number = number_of(as_bytes(bytes), format.name);
  for (const std::string& path : watch.opened())
    EXPECT_EQ(path.find(forbidden), std::string::npos) << path;
  return number;
}

// C21
TEST(BrokenWeights, numbers_in_other_files_are_refused_by_every_reader) {
  test::TempDir dir;
  const std::string secret = (dir / "secret").string();
  test::write_file(secret, std::string(16 * 16 * 4, 's'));
  for (const Format& format : kFormats) {
    const Handle external = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(external, secret.c_str(), 0, 16 * 16 * 4);
    EXPECT_EQ(number_without(hostile(format, external, {16, 16}), format, "secret"), 2345)
        << format.name;
    const hsize_t sides[] = {16, 16};
    const Handle space = H5Screate_simple(2, sides, nullptr);
    const Handle elsewhere = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(elsewhere, space, secret.c_str(), "/x", space);
    EXPECT_EQ(number_without(hostile(format, elsewhere, {16, 16}), format, "secret"), 2345)
        << format.name;
  }
}

// C22
TEST(BrokenWeights, huge_shapes_are_refused_by_every_reader_before_memory_is_asked_for) {
  for (const Format& format : kFormats) {
    const std::string rows[] = {hostile(format, chunked({64, 64}), {1u << 20, 1u << 20}),
                                hostile(format, chunked({64, 64}), {1u << 31, 1u << 31}),
                                hostile(format, H5P_DEFAULT, {1u << 15, 1u << 15})};
    EXPECT_TRUE(test::fits_in_memory(64u << 20, [&] {
      return std::ranges::all_of(rows, [&](const std::string& bytes) {
        const int number = number_of(as_bytes(bytes), format.name);
        return number == 2348 || number == 2349;
      });
    })) << format.name;
  }
}

// C23: what a Keras or MATLAB file declares is compared with the network before it is read.
TEST(BrokenWeights, compressed_bombs_take_no_memory_in_any_reader) {
  for (const Format& format : kFormats) {
    const Handle properties = chunked({64, 1u << 14});
    H5Pset_deflate(properties, 9);
    const std::string bomb = hostile(format, properties, {1u << 10, 1u << 14}, true);
    ASSERT_LT(bomb.size(), 300'000u);
    EXPECT_TRUE(test::fits_in_memory(48u << 20, [&] {
      if (format.name == std::string("f.ours"))
        return number_of(as_bytes(bomb), format.name) == 2316;
      const SourceFile file = open_source(as_bytes(bomb), format.name);
      return std::ranges::any_of(file.tensors, [](const SourceTensor& t) {
        return t.shape == std::vector<int64_t>{1 << 10, 1 << 14};
      });
    })) << format.name;
  }
}

// C24
TEST(BrokenWeights, unknown_filters_are_refused_by_every_reader_and_no_plugin_is_looked_for) {
  test::TempDir plugins;
  test::write_file(plugins / "libh5hostile.so", "would be loaded");
  H5PLprepend(plugins.path().c_str());
  for (const Format& format : kFormats) {
    std::string bytes;
    {
      const test::UnknownFilter filter;
      const Handle properties = chunked({16, 16});
      filter.add_to(properties);
      bytes = hostile(format, properties, {16, 16}, true);
    }
    EXPECT_EQ(number_without(bytes, format, "libh5hostile"), 2346) << format.name;
  }
  H5PLremove(0);
}

}  // namespace
}  // namespace ft
