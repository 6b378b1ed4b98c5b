// Arrays of HDF5 files as tensors.
#include "io/hdf5_arrays.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/huge_pages.h"
#include "tensor/error.h"

namespace ft::hdf5 {
namespace {

std::vector<float> read_array(const Reader& reader, const std::string& path,
                              const DatasetInfo& info, const std::string& where) {
  const auto count = static_cast<size_t>(element_count(info.shape));
  auto values = make_large_vector<float>(count);
  if (info.element == Element::f32) {
    reader.read(path, info.shape, std::span<float>(values));
    return values;
  }
  auto wide = make_large_vector<double>(count);
  reader.read(path, info.shape, std::span<double>(wide));
  std::ranges::transform(wide, values.begin(), [&](double v) { return exact_float(v, where); });
  return values;
}

}  // namespace

SourceTensor source_tensor(const std::shared_ptr<const Reader>& reader, const std::string& path,
                           std::string name, const std::string& file) {
  const DatasetInfo info = reader->info(path);
  const std::string where = fmt::format("{}: {}", file, path);
  if (info.element != Element::f32 && info.element != Element::f64)
    throw Error(2347, where, "holds no 32-bit or 64-bit floats",
                "save it as 32-bit floats with its own tool");
  return {std::move(name), info.shape, info.element == Element::f32 ? "float32" : "float64",
          [reader, path, info, where] { return read_array(*reader, path, info, where); }};
}

}  // namespace ft::hdf5
