// A header in JSON, then the numbers.
#include "io/safetensors_writer.h"

#include <bit>
#include <nlohmann/json.hpp>
#include <vector>

#include "io/source_tensor.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kAlignment = 8;  // of the first number

}  // namespace

BytePieces safetensors_file(std::span<const PlainTensor> tensors,
                            const std::map<std::string, std::string>& metadata) {
  static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");
  nlohmann::ordered_json header;
  header["__metadata__"] = metadata;
  BytePieces numbers;
  for (const PlainTensor::Type type : {PlainTensor::Type::i64, PlainTensor::Type::f32}) {
    const bool is_float = type == PlainTensor::Type::f32;
    for (const PlainTensor& t : tensors) {
      if (t.type != type) continue;
      const size_t begin = numbers.size(), end = begin + t.bytes.size();
      FT_CHECK(
          !header.contains(t.name) &&
              static_cast<size_t>(element_count(t.shape)) * (is_float ? 4 : 8) == t.bytes.size(),
          t.name + " stands twice or has not the size of its shape");
      header[t.name] = {
          {"dtype", is_float ? "F32" : "I64"}, {"shape", t.shape}, {"data_offsets", {begin, end}}};
      numbers.borrow(t.bytes);
    }
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  const uint64_t length = text.size();
  BytePieces file;
  file.add(std::string(reinterpret_cast<const char*>(&length), sizeof length));
  file.add(std::move(text));
  file.add(std::move(numbers));
  return file;
}

}  // namespace ft
