// The part of the HDF5 reader that reads attributes.
#include <fmt/format.h>

#include <array>

#include "io/byte_cursor.h"
#include "io/hdf5_library.h"
#include "io/hdf5_reader.h"
#include "tensor/error.h"

namespace ft::hdf5 {
namespace {

// What stands in the file for a variable-length text: its length, and the place of its bytes in a heap.
using HeapReference = std::array<std::byte, 16>;

// A "conversion" that keeps these 16 bytes as they are. Without it, libhdf5 (before 1.14.4) would copy as many bytes
// as the heap says into memory of the length that the reference says, and a file may say two things.
herr_t keep_reference(hid_t from, hid_t, H5T_cdata_t* data, size_t, size_t, size_t, void*, void*,
                      hid_t) {
  if (data->command != H5T_CONV_INIT) return 0;
  data->need_bkg = H5T_BKG_NO;
  return H5Tis_variable_str(from) > 0 && H5Tget_size(from) == sizeof(HeapReference) ? 0 : -1;
}

// The type that it converts to, made once.
hid_t reference_type() {
  static const hid_t type = [] {
    const hid_t made = H5Tcreate(H5T_OPAQUE, sizeof(HeapReference));
    const Id text(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(text.get(), H5T_VARIABLE);
    H5Tregister(H5T_PERS_SOFT, "ftrun heap reference", text.get(), made, keep_reference);
    return made;
  }();
  return type;
}

// Object `index` of the global heap collection that `heap` begins with.
std::string_view heap_object(std::span<const std::byte> heap, uint32_t index, ByteCursor in) {
  if (in.text(4) != "GCOL" || in.u8() != 1) in.fail("a text lies outside of every heap");
  in.take(3);
  const uint64_t bytes = in.u64();
  if (bytes > heap.size()) in.fail("a heap is longer than the file");
  for (int objects = 0; objects <= UINT16_MAX; ++objects) {
    if (in.at() + 16 > bytes) break;
    const uint16_t number = in.u16();
    in.take(6);
    const uint64_t length = in.u64();
    if (number == 0 || length > bytes - in.at()) break;
    const std::string_view object = in.text(length);
    if (number == index) return object;
    in.take(std::min<uint64_t>((8 - length % 8) % 8, in.left()));
  }
  in.fail("a text is not in its heap");
}

}  // namespace

struct Reader::Attribute {
  Id id, type;
  Element element;
  int64_t count;
  size_t element_bytes;
};

Reader::Attribute Reader::open_attribute(const std::string& path, const std::string& name) const {
  const Id object = open(path, -1);
  Id id;
  if (H5Aexists(object.get(), name.c_str()) > 0)
    id = Id(H5Aopen(object.get(), name.c_str(), H5P_DEFAULT), H5Aclose);
  if (!id) fail(2343, path, fmt::format("has no attribute \"{}\"", name), kOtherFile);
  Id type(H5Aget_type(id.get()), H5Tclose);
  const Id space(H5Aget_space(id.get()), H5Sclose);
  if (!type || !space) fail(2342, path, "cannot be read" + error_text(), kDamaged);
  const Element element = element_of(type.get());
  const int64_t count = H5Sget_simple_extent_npoints(space.get());
  const size_t element_bytes = H5Tget_size(type.get());
  return {std::move(id), std::move(type), element, count, element_bytes};
}

void Reader::read_attribute(const std::string& path, const Attribute& attribute,
                            int64_t memory_type, void* out) const {
  if (H5Aread(attribute.id.get(), memory_type, out) < 0)
    fail(2342, path, "cannot be read" + error_text(), kDamaged);
}

std::vector<std::string> Reader::attribute_names(const std::string& path, size_t most) const {
  const Lock lock;
  const Id object = open(path, -1);
  const uint64_t count = object_info(object.get()).attributes;
  if (count > most) fail(2350, path, fmt::format("has {} attributes", count), kOtherFile);
  std::vector<std::string> names;
  const auto add = [](hid_t, const char* name, const H5A_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->emplace_back(name);
    return 0;
  };
  if (H5Aiterate2(object.get(), H5_INDEX_NAME, H5_ITER_INC, nullptr, add, &names) < 0)
    fail(2342, path, "cannot be read" + error_text(), kDamaged);
  return names;
}

bool Reader::has_attribute(const std::string& path, const std::string& name) const {
  const Lock lock;
  return H5Aexists(open(path, -1).get(), name.c_str()) > 0;
}

std::string Reader::text_attribute(const std::string& path, const std::string& name) const {
  const Lock lock;
  const Attribute a = open_attribute(path, name);
  if (a.element != Element::text || a.element_bytes > kMaxTextBytes || a.count != 1)
    fail(2347, path, fmt::format("the attribute \"{}\" is not a fixed-length text", name),
         kConvert);
  std::string bytes(a.element_bytes, '\0');
  read_attribute(path, a, a.type.get(), bytes.data());
  return split_strings(bytes, a.element_bytes).at(0);
}

std::string Reader::heap_text(const std::string& path, const Attribute& attribute,
                              size_t most) const {
  HeapReference reference;
  if (H5Aread(attribute.id.get(), reference_type(), reference.data()) < 0)
    fail(2347, path, "holds a text of a kind that is not read" + error_text(), kConvert);
  const std::string where = fmt::format("{}: {}", file_, path);
  ByteCursor in(reference, 2342, where);
  const uint32_t length = in.u32();
  const uint64_t address = in.u64();
  if (length > most) fail(2350, path, fmt::format("has a text of {} bytes", length), kOtherFile);
  if (length == 0) return {};
  if (address > image_.size() - start_) in.fail("a text lies behind the end of the file");
  const auto heap = image_.subspan(start_ + static_cast<size_t>(address));
  const std::string_view text = heap_object(heap, in.u32(), ByteCursor(heap, 2342, where));
  if (text.size() < length) in.fail("a text is shorter than it says");
  return std::string(text.substr(0, length));
}

std::string Reader::any_text_attribute(const std::string& path, const std::string& name,
                                       size_t most) const {
  {
    const Lock lock;
    const Attribute a = open_attribute(path, name);
    if (a.count == 1 && H5Tis_variable_str(a.type.get()) > 0) return heap_text(path, a, most);
  }
  return text_attribute(path, name);
}

int64_t Reader::int_attribute(const std::string& path, const std::string& name) const {
  const Lock lock;
  const Attribute a = open_attribute(path, name);
  if (a.element != Element::integer || a.count != 1)
    fail(2347, path, fmt::format("the attribute \"{}\" is not one integer", name), kConvert);
  int64_t value = 0;
  read_attribute(path, a, H5T_NATIVE_INT64, &value);
  return value;
}

std::vector<double> Reader::number_attribute(const std::string& path, const std::string& name,
                                             size_t count) const {
  const Lock lock;
  const Attribute a = open_attribute(path, name);
  const bool floats = a.element == Element::f64 || a.element == Element::f32;
  if (!floats || a.count != static_cast<int64_t>(count))
    fail(2347, path, fmt::format("the attribute \"{}\" is not {} floats", name, count), kConvert);
  std::vector<double> values(count);
  read_attribute(path, a, H5T_NATIVE_DOUBLE, values.data());
  return values;
}

}  // namespace ft::hdf5
