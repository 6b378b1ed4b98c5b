// Building an HDF5 file in memory.
#include "io/hdf5_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "io/hdf5_library.h"
#include "io/huge_pages.h"
#include "tensor/error.h"

namespace ft::hdf5 {

// The memory behind the core driver. libhdf5 grows it through resize(); at close it is kept. The
// room is reserved in one piece, since only what is touched costs memory, and moving it costs time.
struct Writer::Image {
  std::byte* data = nullptr;
  size_t room = 0, first_room = 0;
  ~Image() { std::free(data); }

  static void* resize(void*, size_t size, H5FD_file_image_op_t, void* self) {
    auto& image = *static_cast<Image*>(self);
    if (size <= image.room) return image.data;
    const size_t room = std::max(image.first_room, size + size / 2);
    void* grown = std::realloc(image.data, room);
    if (grown == nullptr) return nullptr;
    image.data = static_cast<std::byte*>(grown);
    image.room = room;
    advise_huge_pages(image.data, room);
    return grown;
  }
};

namespace {

constexpr size_t kSmallGrowth = 1u << 16, kLargeGrowth = 8u << 20;
constexpr uint64_t kChunkBytes = 1u << 20;  // what libhdf5 buffers at once

[[noreturn]] void fail(std::string_view what) {
  throw Error(4040, "HDF5 file in memory", fmt::format("cannot make {}{}", what, error_text()),
              "free memory: close other programs or use a larger machine");
}

void check(herr_t status, std::string_view what) {
  if (status < 0) fail(what);
}

Id checked(hid_t id, Id::Close close, std::string_view what) {
  if (id < 0) fail(what);
  return Id(id, close);
}

void* image_malloc(size_t size, H5FD_file_image_op_t, void*) { return std::malloc(size); }

void* image_memcpy(void* to, const void* from, size_t size, H5FD_file_image_op_t, void*) {
  return std::memcpy(to, from, size);
}

// Rows in a chunk: at most `most`, and so that at most 1 % of the last chunk's space is padding.
uint64_t chunk_rows(uint64_t rows, uint64_t most) {
  uint64_t chunk = std::clamp<uint64_t>(most, 1, rows);
  while (((rows + chunk - 1) / chunk * chunk - rows) * 100 > rows) --chunk;
  return chunk;
}

// Chunks of about kChunkBytes: the first dimensions are cut to 1 until rows of the next fit.
std::vector<hsize_t> chunk_shape(const Shape& shape, size_t element_bytes) {
  std::vector<hsize_t> chunk(shape.begin(), shape.end());
  uint64_t bytes = element_bytes;  // of what is left to cut
  for (hsize_t n : chunk) bytes *= n;
  for (hsize_t& n : chunk) {
    if (bytes <= kChunkBytes) break;
    const uint64_t row_bytes = bytes / n;
    n = chunk_rows(n, kChunkBytes / row_bytes);
    bytes = n * row_bytes;
  }
  return chunk;
}

Id dataset_properties(const Shape& shape, size_t element_bytes) {
  Id properties = checked(H5Pcreate(H5P_DATASET_CREATE), H5Pclose, "a dataset");
  check(H5Pset_obj_track_times(properties.get(), false), "a dataset");
  if (shape.empty() || std::ranges::count(shape, 0) > 0) return properties;
  const auto chunk = chunk_shape(shape, element_bytes);
  check(H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data()), "chunks");
  check(H5Pset_fletcher32(properties.get()), "checksums");
  return properties;
}

Id space_of(const Shape& shape) {
  if (shape.empty()) return checked(H5Screate(H5S_SCALAR), H5Sclose, "a scalar");
  const std::vector<hsize_t> dims(shape.begin(), shape.end());
  return checked(H5Screate_simple(static_cast<int>(dims.size()), dims.data(), nullptr), H5Sclose,
                 "a shape");
}

// A fixed-length zero-padded UTF-8 string of at least one byte.
Id text_type(size_t bytes) {
  Id type = checked(H5Tcopy(H5T_C_S1), H5Tclose, "a text type");
  check(H5Tset_size(type.get(), std::max<size_t>(bytes, 1)), "a text type");
  check(H5Tset_strpad(type.get(), H5T_STR_NULLPAD), "a text type");
  check(H5Tset_cset(type.get(), H5T_CSET_UTF8), "a text type");
  return type;
}

void check_text(std::string_view text) {
  FT_CHECK(text.find('\0') == std::string_view::npos, "text for a file holds a zero byte");
}

}  // namespace

Writer::Writer(size_t user_block, size_t expected_bytes)
    : image_(std::make_unique<Image>()), user_block_(user_block) {
  const Lock lock;
  const Id access = checked(H5Pcreate(H5P_FILE_ACCESS), H5Pclose, "access properties");
  const Id creation = checked(H5Pcreate(H5P_FILE_CREATE), H5Pclose, "creation properties");
  const size_t growth = expected_bytes < kLargeGrowth ? kSmallGrowth : kLargeGrowth;
  check(H5Pset_fapl_core(access.get(), growth, false), "a memory driver");
  check(H5Pset_userblock(creation.get(), user_block), "a user block");
  H5FD_file_image_callbacks_t callbacks{};
  callbacks.image_malloc = image_malloc;
  callbacks.image_memcpy = image_memcpy;
  callbacks.image_realloc = Image::resize;
  callbacks.image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; };
  callbacks.udata_copy = [](void* udata) { return udata; };
  callbacks.udata_free = [](void*) -> herr_t { return 0; };
  callbacks.udata = image_.get();
  image_->first_room = expected_bytes + expected_bytes / 8 + kLargeGrowth;
  check(H5Pset_file_image_callbacks(access.get(), &callbacks), "a memory image");
  id_ = H5Fcreate(no_file().c_str(), H5F_ACC_TRUNC, creation.get(), access.get());
  if (id_ < 0) fail("a file");
}

Writer::~Writer() {
  const Lock lock;
  if (id_ >= 0) H5Fclose(id_);
}

void Writer::group(const std::string& path) {
  const Lock lock;
  const Id properties = checked(H5Pcreate(H5P_GROUP_CREATE), H5Pclose, "a group");
  check(H5Pset_link_creation_order(properties.get(), H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED),
        "a group");
  check(H5Pset_obj_track_times(properties.get(), false), "a group");
  checked(H5Gcreate2(id_, path.c_str(), H5P_DEFAULT, properties.get(), H5P_DEFAULT), H5Gclose,
          path);
}

void Writer::write_any(const std::string& path, const Shape& shape, int64_t file_type,
                       int64_t memory_type, const void* data, size_t count, size_t element_bytes) {
  size_t expected = 1;
  for (int64_t n : shape) expected *= static_cast<size_t>(n);
  FT_CHECK(expected == count, "the data of " + path + " does not have the size of its shape");
  const Id space = space_of(shape), properties = dataset_properties(shape, element_bytes);
  Id dataset = checked(H5Dcreate2(id_, path.c_str(), file_type, space.get(), H5P_DEFAULT,
                                  properties.get(), H5P_DEFAULT),
                       H5Dclose, path);
  if (count > 0)
    check(H5Dwrite(dataset.get(), memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data), path);
  if (!dataset.reset()) fail(path);
}

void Writer::write(const std::string& path, const Shape& shape, std::span<const float> data) {
  const Lock lock;
  write_any(path, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, data.data(), data.size(), 4);
}

void Writer::write(const std::string& path, const Shape& shape, std::span<const double> data) {
  const Lock lock;
  write_any(path, shape, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, data.data(), data.size(), 8);
}

void Writer::write(const std::string& path, const Shape& shape, std::span<const int64_t> data) {
  const Lock lock;
  write_any(path, shape, H5T_STD_I64LE, H5T_NATIVE_INT64, data.data(), data.size(), 8);
}

void Writer::write_strings(const std::string& path, const std::vector<std::string>& strings) {
  size_t longest = 1;
  for (const std::string& s : strings) {
    check_text(s);
    longest = std::max(longest, s.size());
  }
  std::string padded;
  padded.reserve(longest * strings.size());
  for (const std::string& s : strings) padded.append(s).append(longest - s.size(), '\0');
  const Lock lock;
  const Id type = text_type(longest);
  write_any(path, {static_cast<int64_t>(strings.size())}, type.get(), type.get(), padded.data(),
            strings.size(), longest);
}

void Writer::attribute_any(const std::string& path, const std::string& name, int64_t type,
                           int64_t space, int64_t memory_type, const void* data) {
  const Id object = checked(H5Oopen(id_, path.c_str(), H5P_DEFAULT), H5Oclose, path);
  const Id attribute =
      checked(H5Acreate2(object.get(), name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT),
              H5Aclose, name);
  check(H5Awrite(attribute.get(), memory_type, data), name);
}

void Writer::attribute(const std::string& path, const std::string& name, std::string_view text) {
  check_text(text);
  FT_CHECK(text.size() <= kMaxText, "the text " + name + " is too long for an attribute");
  const std::string padded = text.empty() ? std::string(1, '\0') : std::string(text);
  const Lock lock;
  const Id type = text_type(text.size()), space = space_of({});
  attribute_any(path, name, type.get(), space.get(), type.get(), padded.data());
}

void Writer::attribute(const std::string& path, const std::string& name, int64_t number) {
  const Lock lock;
  const Id space = space_of({});
  attribute_any(path, name, H5T_STD_I64LE, space.get(), H5T_NATIVE_INT64, &number);
}

void Writer::attribute(const std::string& path, const std::string& name,
                       std::span<const double> numbers) {
  const Lock lock;
  const Id space = space_of({static_cast<int64_t>(numbers.size())});
  attribute_any(path, name, H5T_IEEE_F64LE, space.get(), H5T_NATIVE_DOUBLE, numbers.data());
}

FileBytes Writer::finish() {
  const Lock lock;
  FT_CHECK(id_ >= 0, "finish() was called twice");
  check(H5Fflush(id_, H5F_SCOPE_GLOBAL), "the file");
  // The end of what is in use, counted from the end of the user block.
  const ssize_t size = H5Fget_file_image(id_, nullptr, 0);
  if (size <= 0) fail("the file");
  check(H5Fclose(std::exchange(id_, -1)), "the file");
  const size_t bytes = static_cast<size_t>(size) + user_block_;
  return FileBytes(std::exchange(image_->data, nullptr), bytes);
}

}  // namespace ft::hdf5
