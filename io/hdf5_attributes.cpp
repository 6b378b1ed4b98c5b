// The part of the HDF5 reader that reads attributes.
#include <fmt/format.h>

#include "io/hdf5_library.h"
#include "io/hdf5_reader.h"
#include "tensor/error.h"

namespace ft::hdf5 {

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
