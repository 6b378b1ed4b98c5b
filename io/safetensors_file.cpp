// Reading safetensors.
#include "io/safetensors_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "io/byte_cursor.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr uint64_t kMostHeader = 100'000'000;
constexpr size_t kMostTensors = 100'000, kMostRank = 8;
constexpr const char* kCopyAgain = "copy or download the file again";
constexpr const char* kMakeAgain = "write it again with the safetensors library";

struct Type {
  std::string_view name;
  uint64_t bytes;
  NumberType type;
};

constexpr Type kTypes[] = {
    {"F32", 4, NumberType::f32},       {"F64", 8, NumberType::f64},
    {"F16", 2, NumberType::f16},       {"BF16", 2, NumberType::bf16},
    {"I64", 8, NumberType::other},     {"U64", 8, NumberType::other},
    {"I32", 4, NumberType::other},     {"U32", 4, NumberType::other},
    {"I16", 2, NumberType::other},     {"U16", 2, NumberType::other},
    {"I8", 1, NumberType::other},      {"U8", 1, NumberType::other},
    {"BOOL", 1, NumberType::other},    {"C64", 8, NumberType::other},
    {"F8_E4M3", 1, NumberType::other}, {"F8_E5M2", 1, NumberType::other},
};

// One entry of the header.
struct Entry {
  std::string name, type;
  std::vector<uint64_t> shape, range;
  bool has_type = false, has_shape = false, has_range = false;
};

// Receives the header's JSON piece by piece and knows at every point what may come. It stops at the first piece that
// the format does not have there, so that neither depth nor length of a hostile header matter.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}
  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;  // of ftrun

  bool start_object(size_t) override {
    if (place_ == Place::start) return go(Place::header);
    if (place_ == Place::header && metadata_) return go(Place::metadata);
    if (place_ == Place::header && named_) {
      if (entries.size() == kMostTensors) wrong("it has more than 100,000 tensors");
      entries.push_back({name_, {}, {}, {}});
      return go(Place::entry);
    }
    wrong("an object stands where none belongs");
  }

  bool end_object() override {
    if (place_ == Place::entry) {
      const Entry& e = entries.back();
      if (!e.has_type || !e.has_shape || !e.has_range)
        wrong(fmt::format("{} lacks dtype, shape or data_offsets", e.name));
    }
    const bool inside = place_ == Place::entry || place_ == Place::metadata;
    metadata_ = named_ = false;
    return go(inside ? Place::header : Place::end);
  }

  bool key(string_t& key) override {
    if (place_ == Place::header) {
      if (!names_.insert(key).second)
        throw Error(2356, path_, fmt::format("two tensors are named {}", key), kMakeAgain);
      metadata_ = key == "__metadata__";
      named_ = true;
      name_ = key;
    } else if (place_ == Place::metadata) {
      if (!metadata_names_.insert(key).second) metadata_fault(key, "stands twice");
      name_ = key;
    } else {
      field(key);
    }
    return true;
  }

  bool string(string_t& text) override {
    if (place_ == Place::metadata) {
      if (name_.starts_with("ftrun.")) metadata[name_] = text;
      return true;
    }
    if (place_ != Place::entry || field_ != Field::type) wrong_value();
    entries.back().type = text;
    field_ = Field::none;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::entry || (field_ != Field::shape && field_ != Field::range)) wrong_value();
    return go(Place::list);
  }
  bool end_array() override {
    field_ = Field::none;
    return go(Place::entry);
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::list) wrong_value();
    auto& list = field_ == Field::shape ? entries.back().shape : entries.back().range;
    if (list.size() == kMostRank) wrong(fmt::format("{} has a list of more than 8 numbers", name_));
    list.push_back(number);
    return true;
  }

  bool null() override { wrong_value(); }
  bool boolean(bool) override { wrong_value(); }
  bool number_integer(number_integer_t) override { wrong_value(); }  // it has a minus
  bool number_float(number_float_t, const string_t&) override { wrong_value(); }
  bool binary(binary_t&) override { wrong_value(); }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception&) override {
    wrong(fmt::format("it is no valid JSON at byte {}", at));
  }

 private:
  enum class Place : uint8_t { start, header, metadata, entry, list, end };
  enum class Field : uint8_t { none, type, shape, range };

  bool go(Place place) {
    place_ = place;
    return true;
  }
  [[noreturn]] void wrong(const std::string& seen) const {
    throw Error(2371, path_, "the header is wrong: " + seen, kMakeAgain);
  }
  [[noreturn]] void metadata_fault(const std::string& key, const char* seen) const {
    throw Error(2374, path_, fmt::format("__metadata__: \"{}\" {}", key, seen), kMakeAgain);
  }
  [[noreturn]] void wrong_value() const {
    if (place_ == Place::metadata || metadata_) metadata_fault(name_, "is no text");
    wrong(fmt::format("{} has a value that does not belong there, or no whole number from 0 on",
                      name_));
  }

  void field(const std::string& key) {
    Entry& e = entries.back();
    const auto once = [&](bool& has, Field field) {
      if (has) wrong(fmt::format("{} has two of {}", e.name, key));
      has = true;
      field_ = field;
    };
    if (key == "dtype") return once(e.has_type, Field::type);
    if (key == "shape") return once(e.has_shape, Field::shape);
    if (key == "data_offsets") return once(e.has_range, Field::range);
    wrong(fmt::format("{} has \"{}\"", e.name, key));
  }

  const std::string& path_;
  Place place_ = Place::start;
  Field field_ = Field::none;
  bool metadata_ = false, named_ = false;
  std::string name_;
  std::set<std::string> names_, metadata_names_;
};

std::vector<Entry> read_header(std::span<const std::byte> header, const std::string& path,
                               std::map<std::string, std::string>* metadata) {
  const auto* first = reinterpret_cast<const char*>(header.data());
  if (header.empty() || first[0] != '{')
    throw Error(2371, path, "the header is wrong: it does not begin with {", kMakeAgain);
  // The JSON library takes a zero byte for the end of its input.
  if (std::ranges::find(header, std::byte{0}) != header.end())
    throw Error(2371, path, "the header is wrong: it holds a zero byte", kMakeAgain);
  HeaderReader reader(path);
  nlohmann::json::sax_parse(first, first + header.size(), &reader);
  *metadata = std::move(reader.metadata);
  return std::move(reader.entries);
}

// Shape and range of an entry against its type.
const Type& check_entry(const Entry& e, const std::string& path) {
  const auto fault = [&](const std::string& seen) {
    throw Error(2373, fmt::format("{}: {}", path, e.name), seen, kMakeAgain);
  };
  const auto type = std::ranges::find(kTypes, e.type, &Type::name);
  if (type == std::end(kTypes)) fault(fmt::format("its type {} is not known", e.type));
  if (e.range.size() != 2 || e.range[0] > e.range[1]) fault("its range does not run forwards");
  const bool small =
      std::ranges::all_of(e.shape, [](uint64_t side) { return side < uint64_t{1} << 48; });
  const int64_t count = small ? element_count({e.shape.begin(), e.shape.end()}) : -1;
  const uint64_t bytes = e.range[1] - e.range[0];
  if (count < 0 || static_cast<uint64_t>(count) * type->bytes != bytes)
    fault(fmt::format("its range has {} bytes, its shape and type have another size", bytes));
  return *type;
}

SourceTensor make_tensor(const Entry& e, const Type& type, std::span<const std::byte> data,
                         const std::string& path) {
  const std::vector<int64_t> shape(e.shape.begin(), e.shape.end());
  const auto range =
      data.subspan(static_cast<size_t>(e.range[0]), static_cast<size_t>(e.range[1] - e.range[0]));
  const StridedNumbers numbers{range, type.type, false, 0, shape, row_major_strides(shape)};
  const std::string name(type.name), where = fmt::format("{}: {}", path, e.name);
  return {e.name, shape, name,
          [numbers, name, where] { return read_numbers(numbers, name, where); }};
}

}  // namespace

SourceFile open_safetensors(std::span<const std::byte> bytes, const std::string& path) {
  ByteCursor in(bytes, 2370, path);
  const uint64_t length = in.u64();
  if (length > kMostHeader || length > in.left())
    in.fail(
        fmt::format("the header is said to have {} bytes, the file has {}", length, bytes.size()));
  SourceFile file{SourceFormat::safetensors, "a safetensors file", {}, {}};
  std::vector<Entry> entries = read_header(in.take(length), path, &file.metadata);
  const auto data = bytes.subspan(in.at());
  for (const Entry& e : entries) check_entry(e, path);
  std::ranges::sort(entries, {}, [](const Entry& e) { return std::pair(e.range[0], e.range[1]); });
  uint64_t end = 0;
  for (const Entry& e : entries) {
    if (e.range[0] != end || e.range[1] > data.size())
      throw Error(2372, fmt::format("{}: {}", path, e.name),
                  fmt::format("its numbers lie at {} to {}, expected from {} to at most {}",
                              e.range[0], e.range[1], end, data.size()),
                  kCopyAgain);
    end = e.range[1];
    file.tensors.push_back(make_tensor(e, check_entry(e, path), data, path));
  }
  if (end != data.size())
    throw Error(2372, path, fmt::format("{} bytes follow the last tensor", data.size() - end),
                kCopyAgain);
  return file;
}

}  // namespace ft
