// Reading MATLAB files of version 7.3.
#include "io/mat_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <memory>
#include <string_view>

#include "io/hdf5_arrays.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kMostArrays = 4096;
constexpr std::string_view kRoles[] = {"weight", "bias", "gamma", "beta", "mean", "variance"};
constexpr std::string_view kMean = "input_mean";
constexpr const char* kPlain = "save plain arrays, as docs/convert.md shows";

// A weight keeps its sides; only groups {G,K/G,C/G,W,H} become outputs {K,C/G,W,H}. All else is a vector.
std::vector<int64_t> plain_shape(const std::vector<int64_t>& shape, std::string_view role) {
  if (role != "weight") return {element_count(shape)};
  if (shape.size() != 5) return shape;
  return {shape[0] * shape[1], shape[2], shape[3], shape[4]};
}

class MatFile {
 public:
  MatFile(std::span<const std::byte> bytes, const std::string& path)
      : reader_(std::make_shared<hdf5::Reader>(bytes, path)), path_(path) {}

  SourceFile run() {
    file_.format = SourceFormat::matlab;
    file_.what = "a MATLAB file (v7.3)";
    for (const std::string& name : reader_->names("/", kMostArrays)) {
      check_plain(name);
      SourceTensor tensor = hdf5::source_tensor(reader_, "/" + name, name, path_);
      if (name == kMean)
        read_mean(tensor);
      else
        add(std::move(tensor));
    }
    return std::move(file_);
  }

 private:
  [[noreturn]] void refuse(const std::string& name, const std::string& seen) const {
    throw Error(2382, fmt::format("{}: {}", path_, name), seen, kPlain);
  }

  void check_plain(const std::string& name) const {
    const std::string at = "/" + name;
    if (name.starts_with('#')) refuse(name, "holds objects or cells, not plain arrays");
    if (reader_->is_group(at)) refuse(name, "is a struct or sparse, not a plain array");
    if (reader_->has_attribute(at, "MATLAB_empty")) refuse(name, "is an empty array");
    if (!reader_->has_attribute(at, "MATLAB_class")) return;
    const std::string kind = reader_->text_attribute(at, "MATLAB_class");
    if (kind != "single" && kind != "double") refuse(name, fmt::format("is of class {}", kind));
  }

  void add(SourceTensor tensor) {
    const size_t mark = tensor.name.rfind('_');
    const std::string role = mark == std::string::npos ? "" : tensor.name.substr(mark + 1);
    if (std::ranges::find(kRoles, role) != std::end(kRoles)) {
      tensor.name[mark] = '/';
      tensor.shape = plain_shape(tensor.shape, role);
    }
    file_.tensors.push_back(std::move(tensor));
  }

  void read_mean(const SourceTensor& tensor) {
    const bool fits =
        tensor.shape.size() == 3 && tensor.shape[0] == 3 && element_count(tensor.shape) > 0;
    if (!fits)
      throw Error(
          2383, fmt::format("{}: {}", path_, kMean),
          fmt::format("has the sides {} in HDF5's order, expected 3 channels last in MATLAB",
                      fmt::join(tensor.shape, "x")),
          kPlain);
    const std::vector<float> values = tensor.read();
    const size_t plane = values.size() / 3;
    for (size_t c = 0; c < 3; ++c) {
      double sum = 0;
      for (size_t i = 0; i < plane; ++i) sum += static_cast<double>(values[c * plane + i]);
      file_.input_mean.push_back(sum / static_cast<double>(plane));
    }
  }

  std::shared_ptr<const hdf5::Reader> reader_;
  std::string path_;
  SourceFile file_;
};

}  // namespace

SourceFile open_mat(std::span<const std::byte> bytes, const std::string& path) {
  return MatFile(bytes, path).run();
}

}  // namespace ft
