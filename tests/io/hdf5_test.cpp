// HDF5 in memory: what is written reads back, and a hostile file gets nothing but an error.
#include <gtest/gtest.h>
#include <hdf5.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <thread>

#include "io/hdf5_reader.h"
#include "io/hdf5_writer.h"
#include "tensor/error.h"
#include "tests/io/file_faults.h"
#include "tests/io/foreign_hdf5.h"
#include "tests/support/support.h"

namespace ft::hdf5 {
namespace {

namespace fs = std::filesystem;
using test::chunked;
using test::fits_in_memory;
using test::foreign_file;
using test::Handle;
using test::UnknownFilter;

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// 0, or the number of the Error that `action` throws.
int number_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& e) {
    EXPECT_EQ(e.status() == ExitStatus::bad_input, e.number() < 3000) << e.line();
    return e.number();
  }
  return 0;
}

// A dataset "x" of `type` and `dims`, written if `data` is given.
void add_dataset(hid_t file, hid_t type, std::vector<hsize_t> dims, hid_t properties = H5P_DEFAULT,
                 hid_t memory_type = -1, const void* data = nullptr,
                 std::vector<hsize_t> most = {}) {
  const Handle space = H5Screate_simple(static_cast<int>(dims.size()), dims.data(),
                                        most.empty() ? nullptr : most.data());
  const Handle set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
  if (data != nullptr) {
    EXPECT_GE(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), 0);
  }
}

const float kFour[] = {1, 2, 3, 4};

void add_floats(hid_t file, hid_t properties = H5P_DEFAULT) {
  add_dataset(file, H5T_IEEE_F32LE, {4}, properties, H5T_NATIVE_FLOAT, kFour);
}

std::vector<float> read_floats(const std::string& file, const Shape& shape) {
  size_t n = 1;
  for (int64_t d : shape) n *= static_cast<size_t>(d);
  std::vector<float> out(n);
  Reader(as_bytes(file), "f.h5").read("/x", shape, std::span<float>(out));
  return out;
}

int read_number(const std::string& file, const Shape& shape = {4}) {
  return number_of([&] { read_floats(file, shape); });
}

int info_number(const std::string& file) {
  return number_of([&] { Reader(as_bytes(file), "f.h5").info("/x"); });
}

// ---- our own files

FileBytes sample(size_t user_block = 0) {
  Writer file(user_block);
  file.group("/g");
  std::vector<float> many(700'000);
  for (size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i) * 0.25f;
  file.write("/g/zebra", {700, 1000}, std::span<const float>(many));
  file.write("/g/apple", {2, 2}, std::span<const float>(kFour));
  const std::vector<double> exact = {1e-300, -0.1};
  file.write("/g/double", {2}, std::span<const double>(exact));
  const std::vector<int64_t> whole = {INT64_MIN, INT64_MAX, 0};
  file.write("/g/whole", {3}, std::span<const int64_t>(whole));
  file.write_strings("/names", {"cat", "", "gr\xc3\xbc\xc3\x9f"});
  file.write_strings("/none", {});
  file.attribute("/", "text", "value");
  file.attribute("/", "empty", "");
  file.attribute("/g", "n", int64_t{-7});
  file.attribute("/g", "v", exact);
  return file.finish();
}

TEST(Hdf5, round_trip_of_all_kinds) {
  for (const size_t user_block : {0, 512, 1024, 2048}) {
    const FileBytes image = sample(user_block);
    const Reader file(image.bytes(), "f.h5");
    EXPECT_EQ(file.names("/g", 10),
              (std::vector<std::string>{"zebra", "apple", "double", "whole"}));
    const DatasetInfo info = file.info("/g/zebra");
    EXPECT_EQ(info.shape, (Shape{700, 1000}));
    EXPECT_EQ(info.bytes, 2'800'000u);
    EXPECT_TRUE(info.element == Element::f32 && info.links == 1);
    std::vector<float> many(700'000);
    file.read("/g/zebra", {700, 1000}, std::span<float>(many));
    for (size_t i = 0; i < many.size(); ++i) ASSERT_EQ(many[i], static_cast<float>(i) * 0.25f);
    std::vector<double> exact(2);
    file.read("/g/double", {2}, std::span<double>(exact));
    EXPECT_EQ(exact, (std::vector<double>{1e-300, -0.1}));
    std::vector<int64_t> whole(3);
    file.read("/g/whole", {3}, std::span<int64_t>(whole));
    EXPECT_EQ(whole, (std::vector<int64_t>{INT64_MIN, INT64_MAX, 0}));
    EXPECT_EQ(file.read_strings("/names", 3),
              (std::vector<std::string>{"cat", "", "gr\xc3\xbc\xc3\x9f"}));
    EXPECT_TRUE(file.read_strings("/none", 3).empty());
    EXPECT_EQ(file.text_attribute("/", "text") + file.text_attribute("/", "empty"), "value");
    EXPECT_EQ(file.int_attribute("/g", "n"), -7);
    EXPECT_EQ(file.number_attribute("/g", "v", 2), exact);
    EXPECT_EQ(file.attribute_names("/g", 2), (std::vector<std::string>{"n", "v"}));
    EXPECT_TRUE(file.has("/g/zebra") && !file.has("/g/lion") && !file.has("/h/zebra"));
    EXPECT_TRUE(file.has_attribute("/g", "n") && !file.has_attribute("/", "n"));
  }
}

TEST(Hdf5, equal_input_gives_equal_bytes_and_no_file_is_touched) {
  const test::FileFaults watch({});
  const FileBytes a = sample(512), b = sample(512);
  EXPECT_EQ(a.text(), b.text());
  EXPECT_EQ(Reader(a.bytes(), "f.h5").names("/", 9).size(), 3u);
  for (const std::string& path : watch.opened()) EXPECT_FALSE(fs::exists(path)) << path;
}

TEST(Hdf5, large_rows_and_single_values_are_chunked_sensibly) {
  const std::vector<float> data(600'000, 1.5f);
  for (const Shape& shape : {Shape{1, 600'000}, Shape{600'000}, Shape{600'000, 1},
                             Shape{2, 3, 100'000}, Shape{1, 1, 1, 600'000}}) {
    Writer file;
    file.write("/x", shape, std::span<const float>(data));
    const FileBytes image = file.finish();
    EXPECT_LT(image.size(), 2'400'000 * 1.02 + 20'000) << "too much padding";
    EXPECT_EQ(read_floats(std::string(image.text()), shape), data);
  }
}

TEST(Hdf5, damaged_chunk_is_found_by_its_checksum) {
  const FileBytes image = sample();
  std::string text(image.text());
  const float value = 12345 * 0.25f;
  const size_t at = text.find(std::string(reinterpret_cast<const char*>(&value), sizeof value));
  ASSERT_NE(at, std::string::npos);
  text[at] = static_cast<char>(text[at] ^ 1);
  std::vector<float> many(700'000);
  const auto read = [&](Reader::Checksums checksums) {
    Reader(as_bytes(text), "f.h5", checksums).read("/g/zebra", {700, 1000}, std::span<float>(many));
  };
  EXPECT_EQ(number_of([&] { read(Reader::Checksums::verify); }), 2342);
  EXPECT_EQ(number_of([&] { read(Reader::Checksums::skip); }), 0);
}

TEST(Hdf5, message_has_file_path_cause_remedy_and_the_librarys_words_in_brackets) {
  try {
    Reader(as_bytes(foreign_file([](hid_t f) { add_floats(f); }).substr(0, 900)), "cut.h5");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 2340);
    EXPECT_NE(e.line().find("cut.h5"), std::string::npos);
    EXPECT_NE(e.seen().find(" ["), std::string::npos) << e.line();
  }
}

TEST(Hdf5, every_cut_of_a_file_is_refused) {
  const std::string whole(foreign_file([](hid_t f) { add_floats(f); }));
  ASSERT_EQ(read_number(whole), 0);
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_EQ(read_number(whole.substr(0, n)), 2340) << "cut at " << n;
}

TEST(Hdf5, shapes_and_types_must_be_as_expected) {
  const std::string floats = foreign_file([](hid_t f) { add_floats(f); });
  EXPECT_EQ(read_floats(floats, {4}), std::vector<float>(std::begin(kFour), std::end(kFour)));
  EXPECT_EQ(read_number(floats, {2, 2}), 2348);
  EXPECT_EQ(read_number(floats, {3}), 2348);
  const Reader file(as_bytes(floats), "f.h5");
  std::vector<int64_t> ints(4);
  std::vector<double> doubles(4);
  EXPECT_EQ(number_of([&] { file.read("/x", {4}, std::span<int64_t>(ints)); }), 2347);
  file.read("/x", {4}, std::span<double>(doubles));
  EXPECT_EQ(doubles.at(3), 4.0);
  EXPECT_EQ(number_of([&] { file.info("/y"); }), 2343);
  EXPECT_EQ(number_of([&] { file.info("/"); }), 2343);
  EXPECT_EQ(number_of([&] { file.info("/x/y"); }), 2343);
  EXPECT_EQ(number_of([&] { file.names("/x", 9); }), 2343);
  EXPECT_EQ(number_of([&] { file.read_strings("/x", 9); }), 2347);
  EXPECT_EQ(number_of([&] { file.text_attribute("/x", "a"); }), 2343);
}

TEST(Hdf5, attributes_of_other_types_are_refused) {
  const FileBytes image = sample();
  const Reader file(image.bytes(), "f.h5");
  EXPECT_EQ(number_of([&] { file.int_attribute("/", "text"); }), 2347);
  EXPECT_EQ(number_of([&] { file.text_attribute("/g", "n"); }), 2347);
  EXPECT_EQ(number_of([&] { file.number_attribute("/g", "v", 3); }), 2347);
  EXPECT_EQ(number_of([&] { file.attribute_names("/g", 1); }), 2350);
  EXPECT_EQ(number_of([&] { file.names("/g", 3); }), 2350);
  EXPECT_EQ(number_of([&] { file.read_strings("/names", 2); }), 2350);
}

TEST(Hdf5, other_byte_order_and_small_integers_convert_exactly) {
  const std::string big = foreign_file(
      [](hid_t f) { add_dataset(f, H5T_IEEE_F32BE, {4}, H5P_DEFAULT, H5T_NATIVE_FLOAT, kFour); });
  EXPECT_EQ(read_floats(big, {4}).at(2), 3.0f);
  const int8_t small[] = {-1, 127};
  const std::string bytes = foreign_file(
      [&](hid_t f) { add_dataset(f, H5T_STD_I8LE, {2}, H5P_DEFAULT, H5T_NATIVE_INT8, small); });
  std::vector<int64_t> out(2);
  Reader(as_bytes(bytes), "f.h5").read("/x", {2}, std::span<int64_t>(out));
  EXPECT_EQ(out, (std::vector<int64_t>{-1, 127}));
}

// ---- hostile files

TEST(Hdf5, links_out_of_the_file_are_refused_and_never_followed) {
  test::TempDir dir;
  const std::string other = (dir / "other.h5").string();
  test::write_file(other, foreign_file([](hid_t f) { add_floats(f); }));
  const std::string hostile = foreign_file([&](hid_t f) {
    H5Lcreate_external(other.c_str(), "/x", f, "x", H5P_DEFAULT, H5P_DEFAULT);
    const Handle group = H5Gcreate2(f, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external(other.c_str(), "/", group, "out", H5P_DEFAULT, H5P_DEFAULT);
  });
  const test::FileFaults watch({});
  const Reader file(as_bytes(hostile), "f.h5");
  EXPECT_EQ(number_of([&] { file.info("/x"); }), 2344);
  EXPECT_EQ(number_of([&] { file.info("/g/out/x"); }), 2344);
  EXPECT_EQ(number_of([&] { file.names("/", 9); }), 2344);
  EXPECT_EQ(number_of([&] { file.text_attribute("/g/out", "a"); }), 2344);
  EXPECT_FALSE(file.has("/g/out/x"));
  EXPECT_EQ(std::ranges::count(watch.opened(), other), 0);
}

TEST(Hdf5, soft_links_are_refused_also_in_circles) {
  const std::string hostile = foreign_file([](hid_t f) {
    const Handle group = H5Gcreate2(f, "g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/g/loop", group, "loop", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_hard(f, "/g", group, "self", H5P_DEFAULT, H5P_DEFAULT);
  });
  const Reader file(as_bytes(hostile), "f.h5");
  EXPECT_EQ(number_of([&] { file.info("/g/loop"); }), 2344);
  EXPECT_EQ(number_of([&] { file.info("/g/self/self/self/x"); }), 2343);  // as deep as asked for
}

TEST(Hdf5, external_storage_is_refused_and_never_opened) {
  test::TempDir dir;
  const std::string raw = (dir / "secret.raw").string();
  test::write_file(raw, std::string(16, 's'));
  const std::string hostile = foreign_file([&](hid_t f) {
    const Handle properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(properties, raw.c_str(), 0, 16);
    add_dataset(f, H5T_IEEE_F32LE, {4}, properties);
  });
  const test::FileFaults watch({});
  EXPECT_EQ(read_number(hostile), 2345);
  EXPECT_EQ(std::ranges::count(watch.opened(), raw), 0);
}

TEST(Hdf5, virtual_dataset_is_refused_and_its_source_never_opened) {
  test::TempDir dir;
  const std::string source = (dir / "source.h5").string();
  test::write_file(source, foreign_file([](hid_t f) { add_floats(f); }));
  const std::string hostile = foreign_file([&](hid_t f) {
    const hsize_t n = 4;
    const Handle space = H5Screate_simple(1, &n, nullptr);
    const Handle properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(properties, space, source.c_str(), "/x", space);
    add_dataset(f, H5T_IEEE_F32LE, {4}, properties);
  });
  const test::FileFaults watch({});
  EXPECT_EQ(read_number(hostile), 2345);
  EXPECT_EQ(std::ranges::count(watch.opened(), source), 0);
}

TEST(Hdf5, compact_storage_is_refused) {
  const std::string file = foreign_file([](hid_t f) {
    const Handle properties = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_layout(properties, H5D_COMPACT);
    add_floats(f, properties);
  });
  EXPECT_EQ(read_number(file), 2345);
}

TEST(Hdf5, huge_shape_is_refused_before_memory_is_asked_for) {
  const std::string empty_chunks = foreign_file(
      [](hid_t f) { add_dataset(f, H5T_IEEE_F32LE, {1u << 20, 1u << 20}, chunked({64, 64})); });
  const std::string overflow = foreign_file(
      [](hid_t f) { add_dataset(f, H5T_IEEE_F32LE, {1u << 31, 1u << 31}, chunked({64, 64})); });
  const std::string unwritten =
      foreign_file([](hid_t f) { add_dataset(f, H5T_IEEE_F32LE, {1u << 30}); });
  const std::string huge_chunk = foreign_file([](hid_t f) {
    add_dataset(f, H5T_IEEE_F32LE, {4}, chunked({1u << 29}), -1, nullptr, {H5S_UNLIMITED});
  });
  EXPECT_TRUE(fits_in_memory(64u << 20, [&] {
    return info_number(empty_chunks) == 2349 && info_number(overflow) == 2348 &&
           info_number(unwritten) == 2349 && info_number(huge_chunk) == 2349;
  }));
}

TEST(Hdf5, compressed_bomb_is_stopped_by_the_expected_shape) {
  const std::vector<float> zeros(16u << 20);
  const std::string bomb = foreign_file([&](hid_t f) {
    const Handle properties = chunked({1u << 20});
    H5Pset_deflate(properties, 9);
    add_dataset(f, H5T_IEEE_F32LE, {16u << 20}, properties, H5T_NATIVE_FLOAT, zeros.data());
  });
  EXPECT_LT(bomb.size(), 200'000u);
  EXPECT_TRUE(fits_in_memory(32u << 20, [&] { return read_number(bomb) == 2348; }));
}

TEST(Hdf5, gzip_shuffle_and_fletcher_are_read) {
  const std::string file = foreign_file([](hid_t f) {
    const Handle properties = chunked({4});
    H5Pset_shuffle(properties);
    H5Pset_deflate(properties, 4);
    H5Pset_fletcher32(properties);
    add_floats(f, properties);
  });
  EXPECT_EQ(read_floats(file, {4}).at(3), 4.0f);
}

TEST(Hdf5, chunks_that_were_never_written_are_refused_instead_of_read_as_zeros) {
  const std::string file = foreign_file([](hid_t f) {
    const hsize_t n = 8, chunk = 4, start = 0;
    const Handle space = H5Screate_simple(1, &n, nullptr), properties = chunked({chunk});
    const Handle memory = H5Screate_simple(1, &chunk, nullptr);
    const Handle set =
        H5Dcreate2(f, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, nullptr, &chunk, nullptr);
    H5Dwrite(set, H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, kFour);
  });
  EXPECT_EQ(read_number(file, {8}), 2349);
}

TEST(Hdf5, unknown_filter_is_refused_and_no_plugin_is_looked_for) {
  std::string hostile;
  {
    const UnknownFilter filter;
    hostile = foreign_file([&](hid_t f) {
      const Handle properties = chunked({4});
      filter.add_to(properties);
      add_floats(f, properties);
    });
  }
  test::TempDir plugins;
  test::write_file(plugins / "libh5hostile.so", "would be loaded");
  H5PLprepend(plugins.path().c_str());
  {
    const test::FileFaults watch({});
    EXPECT_EQ(read_number(hostile), 2346);
    for (const std::string& path : watch.opened())
      EXPECT_EQ(path.find("libh5hostile"), std::string::npos);
  }
  unsigned loading = 1;
  H5PLget_loading_state(&loading);
  EXPECT_EQ(loading, 0u);
  H5PLremove(0);
}

TEST(Hdf5, types_that_are_no_plain_numbers_are_refused) {
  const auto number_for = [](hid_t type) {
    const std::string file = foreign_file([&](hid_t f) {
      const std::vector<char> zeros(4 * H5Tget_size(type));
      add_dataset(f, type, {4}, H5P_DEFAULT, type, zeros.data());
    });
    return read_number(file);
  };
  const Handle compound = H5Tcreate(H5T_COMPOUND, 8);
  H5Tinsert(compound, "a", 0, H5T_NATIVE_FLOAT);
  H5Tinsert(compound, "b", 4, H5T_NATIVE_FLOAT);
  const Handle variable = H5Tcopy(H5T_C_S1);
  H5Tset_size(variable, H5T_VARIABLE);
  const Handle lists = H5Tvlen_create(H5T_NATIVE_FLOAT), opaque = H5Tcreate(H5T_OPAQUE, 4);
  const hsize_t two = 2;
  const Handle arrays = H5Tarray_create2(H5T_NATIVE_FLOAT, 1, &two);
  const Handle half = H5Tcopy(H5T_IEEE_F32LE);
  H5Tset_fields(half, 15, 10, 5, 0, 10);
  H5Tset_size(half, 2);
  H5Tset_ebias(half, 15);
  const Handle enumeration = H5Tenum_create(H5T_NATIVE_INT);
  const int zero = 0;
  H5Tenum_insert(enumeration, "zero", &zero);
  for (const hid_t type :
       {compound.id, variable.id, lists.id, opaque.id, arrays.id, half.id, enumeration.id,
        H5T_STD_REF_OBJ, H5T_STD_B32LE, H5T_STD_U64LE, H5T_STD_I32LE, H5T_IEEE_F64LE})
    EXPECT_EQ(number_for(type), 2347) << H5Tget_class(type) << " of " << H5Tget_size(type);
}

TEST(Hdf5, variable_length_attribute_is_refused) {
  const std::string file = foreign_file([](hid_t f) {
    const Handle type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    const Handle attribute = H5Acreate2(f, "a", type, space, H5P_DEFAULT, H5P_DEFAULT);
    const char* text = "hello";
    H5Awrite(attribute, type, &text);
  });
  EXPECT_EQ(number_of([&] { Reader(as_bytes(file), "f.h5").text_attribute("/", "a"); }), 2347);
}

TEST(Hdf5, scalar_null_and_empty_datasets) {
  Writer writer;
  const float one = 1;
  writer.write("/x", {}, std::span<const float>(&one, 1));
  writer.write("/y", {0, 3}, std::span<const float>());
  const FileBytes image = writer.finish();
  EXPECT_EQ(read_floats(std::string(image.text()), {}), std::vector<float>{1});
  std::vector<float> nothing;
  Reader(image.bytes(), "f.h5").read("/y", {0, 3}, std::span<float>(nothing));
  const std::string null = foreign_file([](hid_t f) {
    const Handle space = H5Screate(H5S_NULL);
    const Handle set =
        H5Dcreate2(f, "x", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  });
  EXPECT_EQ(read_number(null), 2342);
}

TEST(Hdf5, file_of_a_crashed_writer_is_named_as_such) {
  test::TempDir dir;
  const std::string path = (dir / "swmr.h5").string();
  const pid_t pid = ::fork();
  if (pid == 0) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
    ::_exit(file >= 0 ? 0 : 1);
  }
  int status = 1;
  ::waitpid(pid, &status, 0);
  ASSERT_EQ(status, 0);
  const std::string bytes = test::read_file(path);
  EXPECT_EQ(number_of([&] { Reader(as_bytes(bytes), path); }), 2341);
}

TEST(Hdf5, newest_file_format_is_read) {
  const Handle access = H5Pcreate(H5P_FILE_ACCESS);
  H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
  const std::string file = foreign_file([](hid_t f) { add_floats(f); }, access);
  EXPECT_EQ(read_floats(file, {4}).at(1), 2.0f);
}

TEST(Hdf5, files_open_at_the_same_time_are_told_apart) {
  const float other[] = {5, 6, 7, 8};
  Writer a, b;
  a.write("/x", {4}, std::span<const float>(kFour));
  b.write("/x", {4}, std::span<const float>(other));
  const FileBytes first = a.finish(), second = b.finish();
  const Reader read_first(first.bytes(), "f.h5"), read_second(second.bytes(), "f.h5");
  std::vector<float> x(4), y(4);
  read_first.read("/x", {4}, std::span<float>(x));
  read_second.read("/x", {4}, std::span<float>(y));
  EXPECT_EQ(x.at(0) * 10 + y.at(0), 15);
}

TEST(Hdf5, readers_and_writers_on_several_threads) {
  const FileBytes shared = sample();
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5; ++i) {
        const FileBytes own = sample();
        EXPECT_EQ(own.text(), shared.text());
        std::vector<float> four(4);
        Reader(shared.bytes(), "f.h5").read("/g/apple", {2, 2}, std::span<float>(four));
        EXPECT_EQ(four.at(3), 4.0f);
      }
    });
}

}  // namespace
}  // namespace ft::hdf5
