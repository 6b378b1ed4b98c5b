// Weight files: what was saved loads, and nothing else does.
#include "io/weights.h"

#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <limits>

#include "io/hdf5_reader.h"
#include "io/hdf5_writer.h"
#include "io/sha256.h"
#include "tensor/error.h"
#include "tests/io/file_faults.h"
#include "tests/support/support.h"

namespace ft {
namespace {

namespace fs = std::filesystem;

int number_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    return e.number();
  }
  return 0;
}

WeightFile sample() {
  WeightFile w;
  w.model = "resnet50";
  w.variant = "v1.5";
  w.recipe = {224,
              224,
              ResizeMode::crop,
              256,
              ColourOrder::rgb,
              1 / 255.0,
              {0.485, 0.456, 0.406},
              {0.229, 0.224, 0.225}};
  w.classes = {"ants", "bees", "gr\xc3\xbc\xc3\x9f"};
  w.tensors = {{"conv1.weight", {2, 3, 1, 2}, {}},
               {"bn1.running_var", {2}, {0.0f, 3.5f}},
               {"fc.weight", {3, 2}, {1, -2, 3, -0.0f, 5e-39f, 3.4e38f}}};
  for (int i = 0; i < 12; ++i) w.tensors[0].data.push_back(0.1f * static_cast<float>(i) - 0.3f);
  w.notes = {{"source", "drawn"}, {"empty", ""}};
  w.golden = Golden{1, 60, 80, 64, {0.5f, -1.25f, 3}};
  return w;
}

std::string encoded(const WeightFile& w) { return std::string(encode_weights(w).text()); }

int decode_number(const std::string& bytes) {
  return number_of([&] { decode_weights(std::as_bytes(std::span(bytes)), "w.h5"); });
}

// A file with a right hash whose content is made by `fill`: hostile, not damaged.
std::string sealed(const std::function<void(hdf5::Writer&)>& fill) {
  hdf5::Writer writer(512);
  fill(writer);
  std::string bytes(writer.finish().text());
  std::string block = "ftrun-weights 1\nbytes " + std::to_string(bytes.size()) + "\nsha256 " +
                      sha256_hex(std::as_bytes(std::span(bytes)).subspan(512)) + "\n";
  block.resize(512, '\0');
  return block + bytes.substr(512);
}

// The parts of a valid file; `skip` leaves one out and `change` adds to it.
void fill_parts(hdf5::Writer& f, const std::string& skip = "",
                const InputRecipe& r = sample().recipe, const std::string& resize = "crop") {
  if (skip != "format") f.attribute("/", "format", "ftrun-weights");
  if (skip != "format_version") f.attribute("/", "format_version", int64_t{1});
  if (skip != "model") f.attribute("/", "model", "m");
  if (skip != "variant") f.attribute("/", "variant", "v");
  if (skip != "input_recipe") {
    f.group("/input_recipe");
    f.attribute("/input_recipe", "height", int64_t{r.height});
    f.attribute("/input_recipe", "width", int64_t{r.width});
    f.attribute("/input_recipe", "resize", resize);
    f.attribute("/input_recipe", "short_side", int64_t{r.short_side});
    f.attribute("/input_recipe", "colour_order", "rgb");
    if (skip != "scale") f.attribute("/input_recipe", "scale", std::span(&r.scale, 1));
    f.attribute("/input_recipe", "mean", r.mean);
    f.attribute("/input_recipe", "std", r.std);
  }
  if (skip != "classes") f.write_strings("/classes", {"a", "b"});
  if (skip != "notes") f.group("/notes");
  if (skip != "tensors") f.group("/tensors");
}

TEST(Weights, round_trip_bit_for_bit) {
  const WeightFile w = sample();
  test::TempDir dir;
  save_weights(dir / "w.h5", w);
  const WeightFile r = load_weights(dir / "w.h5");
  EXPECT_EQ(r.model + r.variant, w.model + w.variant);
  EXPECT_EQ(r.recipe, w.recipe);
  EXPECT_EQ(r.classes, w.classes);
  EXPECT_EQ(r.notes, w.notes);
  ASSERT_TRUE(r.golden.has_value());
  EXPECT_EQ(r.golden->seed, 1);
  EXPECT_EQ(r.golden->height * 1000 + r.golden->width, 60080);
  EXPECT_EQ(r.golden->side, 64);
  EXPECT_EQ(r.golden->logits, w.golden->logits);
  ASSERT_EQ(r.tensors.size(), w.tensors.size());
  for (size_t i = 0; i < w.tensors.size(); ++i) {
    EXPECT_EQ(r.tensors[i].name, w.tensors[i].name);
    EXPECT_EQ(r.tensors[i].shape, w.tensors[i].shape);
    EXPECT_EQ(std::memcmp(r.tensors[i].data.data(), w.tensors[i].data.data(),
                          w.tensors[i].data.size() * 4),
              0);
  }
  EXPECT_EQ(r.path, (dir / "w.h5").string());
  const std::string bytes = test::read_file(dir / "w.h5");
  EXPECT_EQ(r.sha256, sha256_hex(std::as_bytes(std::span(bytes)).subspan(512)));
  EXPECT_EQ(r.find("fc.weight"), &r.tensors[2]);
  EXPECT_EQ(r.find("fc.bias"), nullptr);
}

TEST(Weights, equal_weights_make_equal_files_and_squash_and_bgr_survive) {
  WeightFile w = sample();
  EXPECT_EQ(encoded(w), encoded(w));
  w.recipe = {224, 160, ResizeMode::letterbox, 0, ColourOrder::rgb, 1, {0, 0, 0}, {1, 1, 1}};
  const std::string boxed = encoded(w);
  EXPECT_EQ(decode_weights(std::as_bytes(std::span(boxed)), "w.h5").recipe, w.recipe);
  w.recipe = {227, 200, ResizeMode::squash, 0, ColourOrder::bgr, 1, {104, 117, 123}, {1, 1, 1}};
  w.classes.clear();
  w.notes.clear();
  w.golden.reset();
  const std::string bytes = encoded(w);
  const WeightFile r = decode_weights(std::as_bytes(std::span(bytes)), "w.h5");
  EXPECT_EQ(r.recipe, w.recipe);
  EXPECT_TRUE(r.classes.empty() && r.notes.empty() && !r.golden);
}

TEST(Weights, many_tensors_keep_their_order) {
  WeightFile w = sample();
  w.tensors.clear();
  for (int i = 400; i > 0; --i)
    w.tensors.push_back({"layer" + std::to_string(i), {1}, {static_cast<float>(i)}});
  const std::string bytes = encoded(w);
  const WeightFile r = decode_weights(std::as_bytes(std::span(bytes)), "w.h5");
  ASSERT_EQ(r.tensors.size(), 400u);
  EXPECT_EQ(r.tensors.front().name, "layer400");
  EXPECT_EQ(r.tensors.back().data.at(0), 1.0f);
}

TEST(Weights, every_flipped_byte_is_refused) {
  const std::string good = encoded(sample());
  ASSERT_EQ(decode_number(good), 0);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    const int number = decode_number(bad);
    ASSERT_TRUE(i < 512 ? number >= 2308 && number <= 2312 : number == 2311)
        << "byte " << i << " gave " << number;
  }
}

TEST(Weights, every_cut_and_every_longer_file_is_refused) {
  const std::string good = encoded(sample());
  for (size_t n = 0; n < good.size(); ++n) {
    const int number = decode_number(good.substr(0, n));
    ASSERT_TRUE(number == 2310 || (n < 512 && number >= 2308 && number <= 2312))
        << n << " bytes gave " << number;
  }
  EXPECT_EQ(decode_number(good + '\0'), 2310);
}

TEST(Weights, message_shows_both_hashes) {
  std::string bytes = encoded(sample());
  bytes.back() ^= 1;
  try {
    decode_weights(std::as_bytes(std::span(bytes)), "w.h5");
    FAIL();
  } catch (const Error& e) {
    const std::string body = bytes.substr(512);
    EXPECT_NE(e.seen().find(sha256_hex(std::as_bytes(std::span(body)))), std::string::npos);
    EXPECT_NE(e.seen().find(bytes.substr(bytes.find("sha256 ") + 7, 64)), std::string::npos);
  }
}

TEST(Weights, newer_version_is_refused_by_version) {
  std::string bytes = encoded(sample());
  bytes[std::string("ftrun-weights ").size()] = '2';
  EXPECT_EQ(decode_number(bytes), 2309);
}

TEST(Weights, other_content_is_named) {
  const std::string h5 = encoded(sample()).substr(512);  // ours without its user block
  const std::pair<std::string, const char*> cases[] = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"},
      {"\n <!DOCTYPE HTML><html>", "HTML"},
      {"{\"error\": 404}", "JSON"},
      {"[1, 2]", "JSON"},
      {"[options]\nlr = 0.1\n", "a text file"},  // TOML begins with a bracket, too
      {"[true]\nx = 1\n", "a text file"},
      {std::string("\x1f\x8b\x08\0", 4), "gzip"},
      {std::string("PK\x03\x04", 4), "zip"},
      {std::string(257, 'x') + "ustar", "tar"},
      {std::string("\x40\0\0\0\0\0\0\0{\"a\":", 14), "safetensors"},
      {"\x80\x02}q", "pickle"},
      {"MATLAB 5.0 MAT-file, Platform: GLNXA64", "older than v7.3"},
      {"MATLAB 7.3 MAT-file, Platform: GLNXA64", "v7.3"},
      {h5, "HDF5 file of another program"},
      {std::string(1024, 'u') + h5, "HDF5 file of another program"},
      {std::string(700, '\0'), "zero bytes"},
      {"\xff\xd8\xff\xe0", "JPEG"},
      {"lr = 0.1\n", "text"},
      {"\x01\x02\x03\x04", "unknown"}};
  for (const auto& [bytes, word] : cases) {
    try {
      decode_weights(std::as_bytes(std::span(bytes)), "w.h5");
      FAIL() << word;
    } catch (const Error& e) {
      EXPECT_EQ(e.number(), 2308) << word;
      EXPECT_NE(e.seen().find(word), std::string::npos) << e.line();
    }
  }
}

TEST(Weights, files_that_are_no_files_are_named) {
  test::TempDir dir;
  test::write_file(dir / "empty.h5", "");
  ASSERT_EQ(::mkfifo((dir / "fifo").c_str(), 0666), 0);
  EXPECT_EQ(number_of([&] { load_weights(dir / "none.h5"); }), 2301);
  EXPECT_EQ(number_of([&] { load_weights(dir / "empty.h5/x"); }), 2301);
  EXPECT_EQ(number_of([&] { load_weights(dir.path()); }), 2302);
  EXPECT_EQ(number_of([&] { load_weights(dir / "fifo"); }), 2303);
  EXPECT_EQ(number_of([&] { load_weights("/dev/zero"); }), 2303);
  EXPECT_EQ(number_of([&] { load_weights(dir / "empty.h5"); }), 2305);
  if (::geteuid() == 0) GTEST_SKIP() << "root may read everything: E2304 needs a plain user";
  save_weights(dir / "w.h5", sample());
  ::chmod((dir / "w.h5").c_str(), 0);
  EXPECT_EQ(number_of([&] { load_weights(dir / "w.h5"); }), 2304);
}

TEST(Weights, reading_survives_interruptions_and_names_a_failing_disk) {
  test::TempDir dir;
  save_weights(dir / "w.h5", sample());
  {
    const test::FileFaults faults({test::FaultPlan::Mode::error, 0, EINTR, "read"});
    EXPECT_EQ(load_weights(dir / "w.h5").model, "resnet50");
  }
  {
    const test::FileFaults faults({test::FaultPlan::Mode::short_count, 0, 0, "read"});
    EXPECT_EQ(load_weights(dir / "w.h5").model, "resnet50");
  }
  const test::FileFaults faults({test::FaultPlan::Mode::error, 1, EIO, "read"});
  EXPECT_EQ(number_of([&] {
              load_weights(dir / "w.h5");
              load_weights(dir / "w.h5");
            }),
            5030);
}

TEST(Weights, file_shortened_while_read_is_an_error) {
  test::TempDir dir;
  test::write_file(dir / "a", std::string(10'000'000, 'x'));
  FileReadOptions options;
  options.first_error = 2300;
  options.what = "weight file";
  options.on_piece = [&](std::span<const std::byte>) { fs::resize_file(dir / "a", 5'000'000); };
  EXPECT_EQ(number_of([&] { read_file_bytes(dir / "a", options); }), 2307);
  options.max_bytes = 4'999'999;
  EXPECT_EQ(number_of([&] { read_file_bytes(dir / "a", options); }), 2306);
}

TEST(Weights, nan_infinity_and_negative_variance_are_neither_written_nor_read) {
  const float bad[] = {std::numeric_limits<float>::quiet_NaN(),
                       std::numeric_limits<float>::infinity(),
                       -std::numeric_limits<float>::infinity()};
  for (const float value : bad)
    for (const size_t at : {0, 1023, 1024, 2999}) {
      WeightFile w = sample();
      w.tensors.push_back({"long", {3000}, std::vector<float>(3000, 1.0f)});
      w.tensors.back().data[at] = value;
      EXPECT_EQ(number_of([&] { encode_weights(w); }), 2314);
      const std::string file = sealed([&](hdf5::Writer& f) {
        fill_parts(f);
        f.write("/tensors/long", {3000}, std::span<const float>(w.tensors.back().data));
      });
      try {
        decode_weights(std::as_bytes(std::span(file)), "w.h5");
        FAIL();
      } catch (const Error& e) {
        EXPECT_EQ(e.number(), 2314);
        EXPECT_NE(e.line().find("long"), std::string::npos);
        EXPECT_NE(e.line().find("element " + std::to_string(at)), std::string::npos) << e.line();
      }
    }
  WeightFile w = sample();
  w.tensors[1].data[1] = -1e-9f;
  EXPECT_EQ(number_of([&] { encode_weights(w); }), 2315);
}

TEST(Weights, each_missing_part_is_an_error) {
  EXPECT_EQ(decode_number(sealed([](hdf5::Writer& f) { fill_parts(f); })), 0);
  for (const std::string part : {"format", "format_version", "model", "variant", "input_recipe",
                                 "scale", "classes", "notes", "tensors"})
    EXPECT_EQ(decode_number(sealed([&](hdf5::Writer& f) { fill_parts(f, part); })), 2343) << part;
}

TEST(Weights, impossible_recipes_are_refused) {
  const auto number_for = [](const std::function<void(InputRecipe&)>& change,
                             const std::string& resize = "crop") {
    InputRecipe r = sample().recipe;
    change(r);
    return decode_number(sealed([&](hdf5::Writer& f) { fill_parts(f, "", r, resize); }));
  };
  const double nan = std::nan("");
  EXPECT_EQ(number_for([](InputRecipe&) {}), 0);
  EXPECT_EQ(number_for([](InputRecipe& r) { r.height = 0; }), 2313);
  EXPECT_EQ(number_for([](InputRecipe& r) { r.width = 40'000; }), 2313);
  EXPECT_EQ(number_for([](InputRecipe& r) { r.short_side = 223; }), 2313);
  EXPECT_EQ(number_for([](InputRecipe& r) { r.scale = 0; }), 2313);
  EXPECT_EQ(number_for([&](InputRecipe& r) { r.mean[1] = nan; }), 2313);
  EXPECT_EQ(number_for([](InputRecipe& r) { r.std[2] = 0; }), 2313);
  EXPECT_EQ(number_for([](InputRecipe&) {}, "stretch"), 2313);
  EXPECT_EQ(number_for([](InputRecipe&) {}, "squash"), 2313);  // with a short side
}

TEST(Weights, hostile_tensors_with_a_right_hash_are_refused) {
  const float one = 1;
  const double two = 2;
  const std::string empty = sealed([&](hdf5::Writer& f) {
    fill_parts(f);
    f.write("/tensors/a", {2, 0}, std::span<const float>());
  });
  const std::string scalar = sealed([&](hdf5::Writer& f) {
    fill_parts(f);
    f.write("/tensors/a", {}, std::span<const float>(&one, 1));
  });
  const std::string doubles = sealed([&](hdf5::Writer& f) {
    fill_parts(f);
    f.write("/tensors/a", {1}, std::span<const double>(&two, 1));
  });
  const std::string group = sealed([&](hdf5::Writer& f) {
    fill_parts(f);
    f.group("/tensors/a");
  });
  EXPECT_EQ(decode_number(empty), 2313);
  EXPECT_EQ(decode_number(scalar), 2313);
  EXPECT_EQ(decode_number(doubles), 2347);
  EXPECT_EQ(decode_number(group), 2343);
}

TEST(Weights, one_array_under_two_names_is_refused) {
  test::TempDir dir;
  const std::string path = (dir / "w.h5").string();
  save_weights(path, sample());
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  ASSERT_GE(H5Lcreate_hard(file, "/tensors/fc.weight", file, "/tensors/twin", 0, 0), 0);
  H5Fclose(file);
  std::string bytes = test::read_file(path);
  const std::string block = "ftrun-weights 1\nbytes " + std::to_string(bytes.size()) + "\nsha256 " +
                            sha256_hex(std::as_bytes(std::span(bytes)).subspan(512)) + "\n";
  bytes.replace(0, block.size(), block);
  EXPECT_EQ(decode_number(bytes), 2316);
}

TEST(Weights, mistakes_of_the_caller_are_internal_errors) {
  const auto number_for = [](const std::function<void(WeightFile&)>& change) {
    WeightFile w = sample();
    change(w);
    return number_of([&] { encode_weights(w); });
  };
  EXPECT_EQ(number_for([](WeightFile& w) { w.tensors[0].name = "a/b"; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.tensors[0].name = ""; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.tensors[2].name = w.tensors[0].name; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.tensors[0].shape[0] = 5; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.tensors[0].shape = {}; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.recipe.std[0] = -1; }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.model = std::string("a\0b", 3); }), 1001);
  EXPECT_EQ(number_for([](WeightFile& w) { w.notes["log"] = std::string(70'000, 'x'); }), 1001);
}

TEST(Weights, odd_but_allowed_numbers_are_warned_about) {
  WeightFile w = sample();
  w.tensors = {{"fine", {2}, {1, 2}},
               {"zero", {3}, {0, 0, 0}},
               {"single", {1}, {0}},
               {"tiny", {2}, {1e-40f, 1}}};
  const std::vector<std::string> warnings = weight_warnings(w);
  ASSERT_EQ(warnings.size(), 2u);
  EXPECT_EQ(warnings[0], "zero: all 3 numbers are 0");
  EXPECT_EQ(warnings[1], "tiny: 1 denormal numbers");
}

TEST(Weights, failed_save_keeps_the_old_file) {
  test::TempDir dir;
  save_weights(dir / "w.h5", sample());
  const std::string before = test::read_file(dir / "w.h5");
  WeightFile w = sample();
  w.model = "other";
  {
    const test::FileFaults faults({test::FaultPlan::Mode::error_from, 0, ENOSPC, "write"});
    EXPECT_EQ(number_of([&] { save_weights(dir / "w.h5", w); }), 5001);
  }
  EXPECT_EQ(test::read_file(dir / "w.h5"), before);
}

// ---- other people's tools

// Output of a shell command; empty when it fails.
std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return {};
  char buffer[4096];
  while (const size_t n = std::fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, n);
  return ::pclose(pipe) == 0 ? text : std::string();
}

TEST(Weights, python_reader_of_the_docs_reads_it) {
  if (output_of("/usr/bin/python3 -c 'import h5py; print(1)'").empty())
    GTEST_SKIP() << "needs /usr/bin/python3 with h5py (package python3-h5py)";
  const fs::path docs = fs::path(FT_SOURCE_DIR) / "docs/weights-format.md";
  const std::string text = test::read_file(docs);
  const size_t begin = text.find("```python\n") + 10;
  test::TempDir dir;
  test::write_file(dir / "read.py", text.substr(begin, text.find("```", begin) - begin));
  save_weights(dir / "w.h5", sample());
  const std::string run = "/usr/bin/python3 " + (dir / "read.py").string() + " ";
  EXPECT_EQ(output_of(run + (dir / "w.h5").string()),
            "resnet50 v1.5 224 224 ants,bees,gr\xc3\xbc\xc3\x9f\n"
            "conv1.weight (2, 3, 1, 2) 3.000000\n"
            "bn1.running_var (2,) 3.500000\n"
            "fc.weight (3, 2) 339999995214436424907732413799364296704.000000\n");
  std::string bad = test::read_file(dir / "w.h5");
  bad.back() ^= 1;
  test::write_file(dir / "bad.h5", bad);
  EXPECT_EQ(output_of(run + (dir / "bad.h5").string()), "");
}

TEST(Weights, h5dump_reads_it) {
  if (output_of("h5dump --version").empty()) GTEST_SKIP() << "needs h5dump (package hdf5-tools)";
  test::TempDir dir;
  save_weights(dir / "w.h5", sample());
  const std::string text = output_of("h5dump " + (dir / "w.h5").string());
  for (const char* part : {"\"resnet50\"", "conv1.weight", "3.5", "\"ants"})
    EXPECT_NE(text.find(part), std::string::npos) << part;
  EXPECT_NE(output_of("h5dump -p -H " + (dir / "w.h5").string()).find("FLETCHER32"),
            std::string::npos);
}

}  // namespace
}  // namespace ft
