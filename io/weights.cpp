// Encoding, checking and decoding of weight files.
#include "io/weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <set>

#include "io/atomic_file.h"
#include "io/content_kind.h"
#include "io/hdf5_reader.h"
#include "io/hdf5_writer.h"
#include "io/huge_pages.h"
#include "io/sha256.h"
#include "tensor/error.h"

namespace ft {
namespace {

constexpr size_t kUserBlock = 512;
constexpr int kVersion = 1;
constexpr std::string_view kFormat = "ftrun-weights";
constexpr size_t kMostTensors = 100'000, kMostClasses = 1'000'000, kMostNotes = 1000;
constexpr int kMostSide = 32'768;
constexpr int kMostGoldenSide = 512;
constexpr int kFirstReadError = 2300;
constexpr const char* kCopyAgain = "copy or download the file again";
constexpr const char* kMakeAgain = "make the file again with this version of ftrun";

// ---- the user block: who we are, how long, and the hash of all that follows

std::string user_block(size_t file_bytes, const std::string& sha256) {
  std::string text =
      fmt::format("{} {}\nbytes {}\nsha256 {}\n", kFormat, kVersion, file_bytes, sha256);
  text.resize(kUserBlock, '\0');
  return text;
}

// The word between `key` and the end of its line; empty if there is none.
std::string value_after(std::string_view block, std::string_view key) {
  const size_t at = block.find(key);
  if (at == std::string_view::npos) return {};
  const size_t begin = at + key.size();
  return std::string(block.substr(begin, block.find('\n', begin) - begin));
}

// -1 unless the whole of `text` is a number.
int64_t to_number(const std::string& text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() ? value : -1;
}

// Throws unless `bytes` is complete and `sha256` (of all after the user block) is what it says.
void check_intact(std::span<const std::byte> bytes, const std::string& sha256,
                  const std::string& path) {
  const std::string_view block(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kUserBlock));
  if (!block.starts_with(fmt::format("{} ", kFormat))) {
    const ContentKind kind = content_kind(bytes);
    throw Error(2308, path, fmt::format("this is {}, expected a weight file of ftrun", kind.what),
                kind.remedy);
  }
  const int64_t version = to_number(value_after(block, fmt::format("{} ", kFormat)));
  if (version > kVersion)
    throw Error(
        2309, path,
        fmt::format("the file has format version {}, this ftrun reads {}", version, kVersion),
        "use a newer ftrun");
  const int64_t size = to_number(value_after(block, "\nbytes "));
  if (size >= 0 && static_cast<uint64_t>(size) != bytes.size())
    throw Error(2310, path,
                fmt::format("the file has {} bytes, it was written with {}", bytes.size(), size),
                kCopyAgain);
  const std::string stated = value_after(block, "\nsha256 ");
  if (stated.size() == 64 && stated != sha256)
    throw Error(2311, path,
                fmt::format("the content is damaged: its SHA-256 is {}, it was written with {}",
                            sha256, stated),
                kCopyAgain);
  if (block != user_block(bytes.size(), sha256))
    throw Error(2312, path, "the first 512 bytes are damaged or cut", kCopyAgain);
}

// ---- values

// Index of the first value that is NaN or infinite, or the size. A block at a time, so that the
// inner loop has no exit and is vectorised.
size_t first_not_finite(std::span<const float> values) {
  constexpr size_t kBlock = 1024;
  constexpr uint32_t kExponent = 0x7f800000;
  const auto bad = [](float v) { return (std::bit_cast<uint32_t>(v) & kExponent) == kExponent; };
  size_t i = 0;
  for (; i + kBlock <= values.size(); i += kBlock) {
    uint32_t any = 0;
    for (size_t k = 0; k < kBlock; ++k) any |= bad(values[i + k]) ? 1u : 0u;
    if (any != 0) break;
  }
  while (i < values.size() && !bad(values[i])) ++i;
  return i;
}

void check_values(const NamedTensor& tensor, const std::string& path) {
  const std::string where = fmt::format("{}: {}", path, tensor.name);
  if (const size_t i = first_not_finite(tensor.data); i < tensor.data.size())
    throw Error(2314, where, fmt::format("element {} is {}", i, tensor.data[i]),
                "these weights cannot be used: take a file from before the numbers ran away");
  if (!tensor.name.ends_with("running_var")) return;
  for (size_t i = 0; i < tensor.data.size(); ++i)
    if (tensor.data[i] < 0)
      throw Error(2315, where, fmt::format("the variance of channel {} is {}", i, tensor.data[i]),
                  "these weights cannot be used: make them again from their source");
}

// What is wrong with a golden picture, or nothing.
std::string golden_fault(const Golden& g) {
  for (int side : {g.height, g.width, g.side})
    if (side < 1 || side > kMostGoldenSide) return fmt::format("a side of it is {}", side);
  if (g.seed < 0) return fmt::format("its seed is {}", g.seed);
  if (g.logits.empty() || g.logits.size() > kMostClasses)
    return fmt::format("it has {} logits", g.logits.size());
  if (first_not_finite(g.logits) < g.logits.size()) return "a logit is not finite";
  return {};
}

bool is_tensor_name(std::string_view name) {
  return !name.empty() && name.size() <= 255 && name != "." &&
         name.find_first_of(std::string_view("/\0", 2)) == std::string_view::npos;
}

void check_encodable(const WeightFile& weights) {
  FT_CHECK(recipe_fault(weights.recipe).empty(),
           "the input recipe is wrong: " + recipe_fault(weights.recipe));
  FT_CHECK(!weights.golden || golden_fault(*weights.golden).empty(),
           "the golden picture is wrong: " + golden_fault(*weights.golden));
  FT_CHECK(weights.tensors.size() <= kMostTensors && weights.classes.size() <= kMostClasses &&
               weights.notes.size() <= kMostNotes,
           "too many parts for a weight file");
  std::set<std::string_view> names;
  for (const NamedTensor& tensor : weights.tensors) {
    FT_CHECK(is_tensor_name(tensor.name), "\"" + tensor.name + "\" cannot name a tensor");
    FT_CHECK(names.insert(tensor.name).second, "two tensors are named " + tensor.name);
    FT_CHECK(!tensor.shape.empty() && std::ranges::min(tensor.shape) > 0,
             tensor.name + " has no dimensions or an empty one");
    check_values(tensor, weights.path.empty() ? "weights" : weights.path);
  }
}

// ---- the HDF5 part

void write_recipe(hdf5::Writer& file, const InputRecipe& r) {
  const std::string group = "/input_recipe";
  file.group(group);
  file.attribute(group, "height", int64_t{r.height});
  file.attribute(group, "width", int64_t{r.width});
  file.attribute(group, "resize", name_of(r.resize));
  file.attribute(group, "short_side", int64_t{r.short_side});
  file.attribute(group, "colour_order", r.colour_order == ColourOrder::rgb ? "rgb" : "bgr");
  file.attribute(group, "scale", std::span(&r.scale, 1));
  file.attribute(group, "mean", r.mean);
  file.attribute(group, "std", r.std);
}

int small_int(const hdf5::Reader& file, const std::string& group, const char* name) {
  return static_cast<int>(std::clamp<int64_t>(file.int_attribute(group, name), -1, 1 << 30));
}

InputRecipe read_recipe(const hdf5::Reader& file, const std::string& path) {
  const std::string group = "/input_recipe";
  const auto bad = [&](const std::string& seen) {
    throw Error(2313, path, "the input recipe is impossible: " + seen, kMakeAgain);
  };
  const auto side = [&](const char* name) { return small_int(file, group, name); };
  const auto one_of = [&](const char* name, const char* a, const char* b) {
    const std::string word = file.text_attribute(group, name);
    if (word != a && word != b) bad(fmt::format("its {} is \"{}\"", name, word));
    return word == a;
  };
  InputRecipe r;
  r.height = side("height");
  r.width = side("width");
  const std::string resize = file.text_attribute(group, "resize");
  for (ResizeMode mode : {ResizeMode::crop, ResizeMode::letterbox})
    if (resize == name_of(mode)) r.resize = mode;
  if (resize != name_of(r.resize)) bad(fmt::format("its resize is \"{}\"", resize));
  r.short_side = side("short_side");
  r.colour_order = one_of("colour_order", "rgb", "bgr") ? ColourOrder::rgb : ColourOrder::bgr;
  r.scale = file.number_attribute(group, "scale", 1).at(0);
  std::ranges::copy(file.number_attribute(group, "mean", 3), r.mean.begin());
  std::ranges::copy(file.number_attribute(group, "std", 3), r.std.begin());
  if (const std::string fault = recipe_fault(r); !fault.empty()) bad(fault);
  return r;
}

void write_golden(hdf5::Writer& file, const Golden& g) {
  const std::string group = "/golden";
  file.group(group);
  file.attribute(group, "seed", g.seed);
  file.attribute(group, "height", int64_t{g.height});
  file.attribute(group, "width", int64_t{g.width});
  file.attribute(group, "side", int64_t{g.side});
  file.write(group + "/logits", {static_cast<int64_t>(g.logits.size())}, g.logits);
}

// Files of before there were golden pictures have none.
std::optional<Golden> read_golden(const hdf5::Reader& file, const std::string& path) {
  const std::string group = "/golden";
  if (!file.has(group)) return std::nullopt;
  Golden g;
  g.seed = file.int_attribute(group, "seed");
  g.height = small_int(file, group, "height");
  g.width = small_int(file, group, "width");
  g.side = small_int(file, group, "side");
  const hdf5::DatasetInfo info = file.info(group + "/logits");
  if (info.shape.size() == 1 && info.shape[0] <= static_cast<int64_t>(kMostClasses)) {
    g.logits.resize(static_cast<size_t>(info.shape[0]));
    file.read(group + "/logits", info.shape, g.logits);
  }
  if (const std::string fault = golden_fault(g); !fault.empty())
    throw Error(2313, path, "the golden picture is impossible: " + fault, kMakeAgain);
  return g;
}

std::vector<NamedTensor> read_tensors(const hdf5::Reader& file, size_t file_bytes,
                                      const std::string& path) {
  std::vector<NamedTensor> tensors;
  uint64_t total = 0;
  for (const std::string& name : file.names("/tensors", kMostTensors)) {
    const std::string at = "/tensors/" + name;
    const hdf5::DatasetInfo info = file.info(at);
    const std::string where = fmt::format("{}: {}", path, name);
    if (info.shape.empty() || std::ranges::min(info.shape) < 1)
      throw Error(2313, where, "the tensor has no dimensions or an empty one", kMakeAgain);
    if (info.element != hdf5::Element::f32)
      throw Error(2347, where, "the tensor does not hold 32-bit floats", kMakeAgain);
    total += info.bytes;
    if (info.links != 1 || total > file_bytes)
      throw Error(2316, where, "the file declares more numbers than it holds", kMakeAgain);
    NamedTensor tensor{name, info.shape, make_large_vector<float>(info.bytes / sizeof(float))};
    file.read(at, tensor.shape, tensor.data);
    check_values(tensor, path);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

WeightFile parse(std::span<const std::byte> bytes, const std::string& sha256,
                 const std::string& path) {
  // The hash of all bytes was right a moment ago, so the checksums per chunk need not be asked.
  const hdf5::Reader file(bytes, path, hdf5::Reader::Checksums::skip);
  if (file.text_attribute("/", "format") != kFormat ||
      file.int_attribute("/", "format_version") != kVersion)
    throw Error(2313, path, "the format attributes are wrong", kMakeAgain);
  WeightFile weights;
  weights.path = path;
  weights.sha256 = sha256;
  weights.model = file.text_attribute("/", "model");
  weights.variant = file.text_attribute("/", "variant");
  weights.recipe = read_recipe(file, path);
  weights.classes = file.read_strings("/classes", kMostClasses);
  weights.tensors = read_tensors(file, bytes.size(), path);
  weights.golden = read_golden(file, path);
  for (const std::string& key : file.attribute_names("/notes", kMostNotes))
    weights.notes[key] = file.text_attribute("/notes", key);
  return weights;
}

size_t data_bytes(const WeightFile& weights) {
  size_t bytes = 0;
  for (const NamedTensor& tensor : weights.tensors) bytes += tensor.data.size() * sizeof(float);
  return bytes;
}

}  // namespace

const NamedTensor* WeightFile::find(std::string_view name) const {
  const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
  return found == tensors.end() ? nullptr : &*found;
}

std::string recipe_fault(const InputRecipe& r) {
  const auto in_range = [](int side) { return side >= 1 && side <= kMostSide; };
  if (!in_range(r.height) || !in_range(r.width))
    return fmt::format("its size is {} x {}", r.height, r.width);
  const bool crop = r.resize == ResizeMode::crop;
  if (crop ? !in_range(r.short_side) || r.short_side < std::max(r.height, r.width)
           : r.short_side != 0)
    return fmt::format("its short side is {}", r.short_side);
  if (!std::isfinite(r.scale) || r.scale <= 0) return fmt::format("its scale is {}", r.scale);
  for (size_t c = 0; c < 3; ++c)
    if (!std::isfinite(r.mean[c]) || !std::isfinite(r.std[c]) || r.std[c] <= 0)
      return fmt::format("channel {} has mean {} and std {}", c, r.mean[c], r.std[c]);
  return {};
}

FileBytes encode_weights(const WeightFile& weights) {
  check_encodable(weights);
  hdf5::Writer file(kUserBlock, data_bytes(weights));
  file.attribute("/", "format", kFormat);
  file.attribute("/", "format_version", int64_t{kVersion});
  file.attribute("/", "model", weights.model);
  file.attribute("/", "variant", weights.variant);
  write_recipe(file, weights.recipe);
  file.write_strings("/classes", weights.classes);
  file.group("/notes");
  for (const auto& [key, text] : weights.notes) file.attribute("/notes", key, text);
  if (weights.golden) write_golden(file, *weights.golden);
  file.group("/tensors");
  for (const NamedTensor& tensor : weights.tensors)
    file.write("/tensors/" + tensor.name, tensor.shape, tensor.data);
  FileBytes bytes = file.finish();
  const std::string block = user_block(bytes.size(), sha256_hex(bytes.bytes().subspan(kUserBlock)));
  std::memcpy(bytes.data(), block.data(), kUserBlock);
  return bytes;
}

WeightFile decode_weights(std::span<const std::byte> bytes, const std::string& path) {
  const std::string sha256 = sha256_hex(bytes.subspan(std::min(bytes.size(), kUserBlock)));
  check_intact(bytes, sha256, path);
  return parse(bytes, sha256, path);
}

WeightFile load_weights(const std::filesystem::path& path) {
  FileBytes file;  // outlives the thread that hashes it
  HashThread hash;
  size_t skip = kUserBlock;
  FileReadOptions options;
  options.first_error = kFirstReadError;
  options.what = "weight file";
  options.on_piece = [&](std::span<const std::byte> piece) {
    const size_t skipped = std::min(skip, piece.size());
    skip -= skipped;
    hash.push(piece.subspan(skipped));
  };
  read_file_bytes(path, options, &file);
  const std::string sha256 = hash.hex();
  check_intact(file.bytes(), sha256, path.string());
  return parse(file.bytes(), sha256, path.string());
}

void save_weights(const std::filesystem::path& path, const WeightFile& weights) {
  write_atomically(path, encode_weights(weights).bytes());
}

std::vector<std::string> weight_warnings(const WeightFile& weights) {
  std::vector<std::string> warnings;
  for (const NamedTensor& tensor : weights.tensors) {
    const auto& data = tensor.data;
    const auto denormals =
        std::ranges::count_if(data, [](float v) { return std::fpclassify(v) == FP_SUBNORMAL; });
    if (denormals > 0)
      warnings.push_back(fmt::format("{}: {} denormal numbers", tensor.name, denormals));
    const bool constant = std::ranges::all_of(data, [&](float v) { return v == data.front(); });
    if (constant && data.size() > 1)
      warnings.push_back(
          fmt::format("{}: all {} numbers are {}", tensor.name, data.size(), data.front()));
  }
  return warnings;
}

}  // namespace ft
