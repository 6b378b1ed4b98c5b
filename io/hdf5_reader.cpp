// Reading an HDF5 file that lies in memory.
#include "io/hdf5_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "io/hdf5_library.h"
#include "tensor/error.h"

namespace ft::hdf5 {
namespace {

constexpr std::string_view kSignature = "\x89HDF\r\n\x1a\n";
constexpr uint64_t kMaxDeflate = 1100;         // deflate's best ratio is 1032
constexpr uint64_t kChunkSlack = 1u << 16;     // a chunk may be larger than its dataset by this
constexpr uint64_t kMaxListBytes = 64u << 20;  // of a list of strings
constexpr uint64_t kMaxElements = uint64_t{1} << 48;

// libhdf5 would copy the image several times. These callbacks hand out the one it was given, which
// is sound because the file is opened for reading only.
H5FD_file_image_callbacks_t borrow_image(void* image) {
  H5FD_file_image_callbacks_t callbacks{};
  callbacks.image_malloc = [](size_t, H5FD_file_image_op_t, void* udata) { return udata; };
  callbacks.image_memcpy = [](void* to, const void*, size_t, H5FD_file_image_op_t, void*) {
    return to;
  };
  callbacks.image_realloc = [](void*, size_t, H5FD_file_image_op_t, void*) -> void* {
    return nullptr;
  };
  callbacks.image_free = [](void*, H5FD_file_image_op_t, void*) -> herr_t { return 0; };
  callbacks.udata_copy = [](void* udata) { return udata; };
  callbacks.udata_free = [](void*) -> herr_t { return 0; };
  callbacks.udata = image;
  return callbacks;
}

herr_t refuse_external(const char*, const char*, const char*, const char*, unsigned*, hid_t,
                       void*) {
  return -1;
}

// Second line behind check_links(): the library itself follows nothing.
Id access_without_links() {
  Id access(H5Pcreate(H5P_LINK_ACCESS), H5Pclose);
  H5Pset_elink_cb(access.get(), refuse_external, nullptr);
  H5Pset_nlinks(access.get(), 1);
  return access;
}

const char* link_kind(H5L_type_t type) {
  if (type == H5L_TYPE_EXTERNAL) return "an external link, which leads to another file";
  return type == H5L_TYPE_SOFT ? "a soft link" : "a link of unknown kind";
}

const char* element_name(Element element) {
  switch (element) {
    case Element::f32:
      return "32-bit floats";
    case Element::f64:
      return "64-bit floats";
    case Element::integer:
      return "integers";
    case Element::text:
      return "fixed-length text";
    case Element::other:
      break;
  }
  return "values of another type";
}

uint64_t product(const Shape& shape) {
  uint64_t n = 1;
  for (int64_t d : shape) n *= static_cast<uint64_t>(d);
  return n;
}

}  // namespace

Reader::Reader(std::span<const std::byte> image, std::string file, Checksums checksums)
    : image_(image), file_(std::move(file)), checksums_(checksums) {
  check_superblock();
  const Lock lock;
  const Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  auto* bytes = const_cast<std::byte*>(image.data());
  auto callbacks = borrow_image(bytes);
  if (H5Pset_fapl_core(access.get(), 1u << 20, false) < 0 ||
      H5Pset_file_image_callbacks(access.get(), &callbacks) < 0 ||
      H5Pset_file_image(access.get(), bytes, image.size()) < 0)
    fail(2342, "", "the HDF5 library cannot use it" + error_text(), kDamaged);
  id_ = H5Fopen(no_file().c_str(), H5F_ACC_RDONLY, access.get());
  if (id_ < 0) fail(2340, "", "the HDF5 file cannot be opened" + error_text(), kDamaged);
}

Reader::~Reader() {
  const Lock lock;
  if (id_ >= 0) H5Fclose(id_);
}

void Reader::fail(int number, std::string_view path, const std::string& seen,
                  const std::string& remedy) const {
  throw Error(number, path.empty() ? file_ : fmt::format("{}: {}", file_, path), seen, remedy);
}

// The signature stands at 0, 512, 1024, 2048, ... Version 3 has a byte of flags that a writer sets
// while it is at work.
void Reader::check_superblock() {
  const auto at = [&](size_t i) { return static_cast<uint8_t>(image_[i]); };
  for (size_t start = 0; start + 16 <= image_.size(); start = start == 0 ? 512 : start * 2) {
    if (std::memcmp(image_.data() + start, kSignature.data(), kSignature.size()) != 0) continue;
    if (at(start + 8) >= 3 && (at(start + 11) & 5) != 0)
      fail(2341, "", "the file is marked as open for writing: its writer crashed or still runs",
           "let the writer finish, or clear the mark of a copy with h5clear -s");
    start_ = start;
    return;
  }
  fail(2340, "", "no HDF5 signature: this is not an HDF5 file", kOtherFile);
}

bool Reader::has(const std::string& path) const {
  const Lock lock;
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end + 1);
    if (H5Lexists(id_, path.substr(0, end).c_str(), access_without_links().get()) <= 0)
      return false;
  }
  return true;
}

bool Reader::is_group(const std::string& path) const {
  const Lock lock;
  return H5Iget_type(open(path, -1).get()) == H5I_GROUP;
}

// Every step of `path` must be an ordinary (hard) link.
void Reader::check_links(const std::string& path) const {
  const Id access = access_without_links();
  for (size_t end = path.find_first_not_of('/'); end < path.size();) {
    end = std::min(path.find('/', end + 1), path.size());
    const std::string part = path.substr(0, end);
    H5L_info_t link;
    if (H5Lexists(id_, part.c_str(), access.get()) <= 0 ||
        H5Lget_info(id_, part.c_str(), &link, access.get()) < 0)
      fail(2343, part, "is missing in the file", kOtherFile);
    if (link.type != H5L_TYPE_HARD)
      fail(2344, part, fmt::format("is {}; only plain entries are read", link_kind(link.type)),
           kConvert);
  }
}

Id Reader::open(const std::string& path, int kind) const {
  check_links(path);
  const Id access = access_without_links();
  Id object(H5Oopen(id_, path.c_str(), access.get()), H5Oclose);
  if (!object) fail(2342, path, "cannot be opened" + error_text(), kDamaged);
  if (kind >= 0 && H5Iget_type(object.get()) != kind)
    fail(2343, path, kind == H5I_DATASET ? "is not an array" : "is not a group", kOtherFile);
  return object;
}

// Layout and filters, before the library is asked for anything that could open a source file.
void Reader::check_storage(const std::string& path, const Id& dataset) const {
  const Id properties(H5Dget_create_plist(dataset.get()), H5Pclose);
  if (!properties) fail(2342, path, "cannot be opened" + error_text(), kDamaged);
  const H5D_layout_t layout = H5Pget_layout(properties.get());
  if (H5Pget_external_count(properties.get()) != 0)
    fail(2345, path, "keeps its numbers in another file (external storage)", kConvert);
  if (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED)
    fail(2345, path, "has a storage layout that is not read (virtual or compact)", kConvert);
  const int filters = H5Pget_nfilters(properties.get());
  for (int i = 0; i < filters; ++i) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    const auto index = static_cast<unsigned>(i);
    const H5Z_filter_t filter =
        H5Pget_filter2(properties.get(), index, &flags, &values, nullptr, 0, nullptr, &config);
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
        filter != H5Z_FILTER_FLETCHER32)
      fail(2346, path, fmt::format("is stored with filter {}, which is not read", filter),
           "store it again without compression or with gzip");
  }
}

namespace {

struct Sizes {
  uint64_t declared, stored, chunk;
  bool deflated;
};

Sizes sizes_of(const Id& dataset, uint64_t declared, size_t element_bytes) {
  Sizes sizes{declared, H5Dget_storage_size(dataset.get()), 0, false};
  const Id properties(H5Dget_create_plist(dataset.get()), H5Pclose);
  if (H5Pget_layout(properties.get()) == H5D_CHUNKED) {
    hsize_t dims[H5S_MAX_RANK] = {};
    const int rank = H5Pget_chunk(properties.get(), H5S_MAX_RANK, dims);
    sizes.chunk = element_bytes;
    for (int i = 0; i < rank; ++i) sizes.chunk *= dims[i];  // the format limits it to 4 GiB
  }
  for (int i = 0; i < H5Pget_nfilters(properties.get()); ++i) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    sizes.deflated |= H5Pget_filter2(properties.get(), static_cast<unsigned>(i), &flags, &values,
                                     nullptr, 0, nullptr, &config) == H5Z_FILTER_DEFLATE;
  }
  return sizes;
}

}  // namespace

Id Reader::open_dataset(const std::string& path, DatasetInfo* info) const {
  Id dataset = open(path, H5I_DATASET);
  check_storage(path, dataset);
  const Id type(H5Dget_type(dataset.get()), H5Tclose), space(H5Dget_space(dataset.get()), H5Sclose);
  const int rank = space ? H5Sget_simple_extent_ndims(space.get()) : -1;
  if (!type || rank < 0 || H5Sget_simple_extent_type(space.get()) == H5S_NULL)
    fail(2342, path, "has no readable type or shape" + error_text(), kDamaged);
  hsize_t dims[H5S_MAX_RANK] = {};
  H5Sget_simple_extent_dims(space.get(), dims, nullptr);
  const size_t element_bytes = std::max<size_t>(H5Tget_size(type.get()), 1);
  uint64_t bytes = element_bytes;
  info->shape.clear();
  for (int d = 0; d < rank; ++d) {
    if (dims[d] != 0 && bytes > kMaxElements / dims[d])
      fail(2348, path, "declares an impossible size", kDamaged);
    bytes *= dims[d];
    info->shape.push_back(static_cast<int64_t>(dims[d]));
  }
  const Sizes sizes = sizes_of(dataset, bytes, element_bytes);
  const uint64_t most = sizes.deflated ? kMaxDeflate * sizes.stored : sizes.stored;
  if (sizes.stored > image_.size() || bytes > most || sizes.chunk > bytes + kChunkSlack)
    fail(2349, path,
         fmt::format("declares {} bytes in chunks of {}, but {} bytes are stored", bytes,
                     sizes.chunk, sizes.stored),
         "the file is damaged or was never written completely: copy or make it again");
  info->bytes = bytes;
  info->element = element_of(type.get());
  info->links = object_info(dataset.get()).links;
  return dataset;
}

DatasetInfo Reader::info(const std::string& path) const {
  const Lock lock;
  DatasetInfo info;
  open_dataset(path, &info);
  return info;
}

void Reader::read_any(const std::string& path, const Shape& shape, Element element,
                      int64_t memory_type, void* out) const {
  DatasetInfo info;
  const Id dataset = open_dataset(path, &info);
  const bool exact =
      info.element == element || (element == Element::f64 && info.element == Element::f32);
  if (!exact)
    fail(2347, path,
         fmt::format("holds {}, expected {}", element_name(info.element), element_name(element)),
         kConvert);
  if (info.shape != shape)
    fail(2348, path,
         fmt::format("has shape {{{}}}, expected {{{}}}", fmt::join(info.shape, ","),
                     fmt::join(shape, ",")),
         kOtherFile);
  const Id transfer(H5Pcreate(H5P_DATASET_XFER), H5Pclose);
  if (checksums_ == Checksums::skip) H5Pset_edc_check(transfer.get(), H5Z_DISABLE_EDC);
  if (info.bytes > 0 &&
      H5Dread(dataset.get(), memory_type, H5S_ALL, H5S_ALL, transfer.get(), out) < 0)
    fail(2342, path, "cannot be read" + error_text(), kDamaged);
}

void Reader::read(const std::string& path, const Shape& shape, std::span<float> out) const {
  FT_CHECK(out.size() == product(shape), "the output does not have the size of the shape");
  const Lock lock;
  read_any(path, shape, Element::f32, H5T_NATIVE_FLOAT, out.data());
}

void Reader::read(const std::string& path, const Shape& shape, std::span<double> out) const {
  FT_CHECK(out.size() == product(shape), "the output does not have the size of the shape");
  const Lock lock;
  read_any(path, shape, Element::f64, H5T_NATIVE_DOUBLE, out.data());
}

void Reader::read(const std::string& path, const Shape& shape, std::span<int64_t> out) const {
  FT_CHECK(out.size() == product(shape), "the output does not have the size of the shape");
  const Lock lock;
  read_any(path, shape, Element::integer, H5T_NATIVE_INT64, out.data());
}

std::vector<std::string> Reader::read_strings(const std::string& path, size_t most) const {
  const Lock lock;
  DatasetInfo info;
  const Id dataset = open_dataset(path, &info);
  if (info.element != Element::text || info.shape.size() != 1)
    fail(2347, path, "is not a list of fixed-length strings", kConvert);
  const Id type(H5Dget_type(dataset.get()), H5Tclose);
  const size_t size = H5Tget_size(type.get());
  if (static_cast<uint64_t>(info.shape[0]) > most || size > kMaxTextBytes ||
      info.bytes > kMaxListBytes)
    fail(2350, path, fmt::format("has {} strings of {} bytes", info.shape[0], size), kOtherFile);
  std::string bytes(info.bytes, '\0');
  read_any(path, info.shape, Element::text, type.get(), bytes.data());
  return split_strings(bytes, size);
}

namespace {

struct Names {
  std::vector<std::string> names;
  std::string refused;  // the first link that is not hard
};

herr_t collect_name(hid_t, const char* name, const H5L_info_t* link, void* out) {
  auto* names = static_cast<Names*>(out);
  if (link->type != H5L_TYPE_HARD) {
    names->refused = fmt::format("the entry {} is {}", name, link_kind(link->type));
    return 1;
  }
  names->names.emplace_back(name);
  return 0;
}

}  // namespace

std::vector<std::string> Reader::names(const std::string& path, size_t most) const {
  const Lock lock;
  const Id group = open(path, H5I_GROUP);
  const Id properties(H5Gget_create_plist(group.get()), H5Pclose);
  H5G_info_t info;
  unsigned order = 0;
  if (H5Gget_info(group.get(), &info) < 0)
    fail(2342, path, "cannot be read" + error_text(), kDamaged);
  if (info.nlinks > most)
    fail(2350, path, fmt::format("has {} entries, at most {} are read", info.nlinks, most),
         kOtherFile);
  H5Pget_link_creation_order(properties.get(), &order);
  const H5_index_t index =
      (order & H5P_CRT_ORDER_TRACKED) != 0 ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
  Names found;
  if (H5Literate(group.get(), index, H5_ITER_INC, nullptr, collect_name, &found) < 0)
    fail(2342, path, "cannot be read" + error_text(), kDamaged);
  if (!found.refused.empty()) fail(2344, path, found.refused, kConvert);
  return found.names;
}

}  // namespace ft::hdf5
