// Reading Caffe's protobuf messages.
#include "io/caffe_file.h"

#include <fmt/format.h>

#include <bit>

#include "io/byte_cursor.h"
#include "tensor/error.h"

namespace ft {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kMostLayers = 100'000, kMostBlobs = 16, kMostRank = 8;

// One field of a message: a number, or bytes.
struct Field {
  uint32_t number = 0, wire = 0;
  uint64_t value = 0;
  Bytes bytes;
};

constexpr uint32_t kVarint = 0, kEight = 1, kBytes = 2, kFour = 5;

class Message {
 public:
  Message(Bytes bytes, const std::string& where) : in_(bytes, 2385, where) {}

  // False at the end.
  bool next(Field* field) {
    if (in_.left() == 0) return false;
    const uint64_t key = varint();
    *field = {static_cast<uint32_t>(key >> 3), static_cast<uint32_t>(key & 7), 0, {}};
    if (key >> 3 == 0 || key >> 32 != 0) in_.fail("a field has an impossible number");
    switch (field->wire) {
      case kVarint:
        field->value = varint();
        break;
      case kEight:
        field->value = in_.u64();
        break;
      case kBytes:
        field->bytes = in_.take(varint());
        break;
      case kFour:
        field->value = in_.u32();
        break;
      default:
        in_.fail(fmt::format("a field has wire type {}, which Caffe does not use", field->wire));
    }
    return true;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 70; shift += 7) {
      const uint64_t byte = in_.u8();
      if (shift == 63 && byte > 1) break;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    in_.fail("a number has no end");
  }
  size_t left() const { return in_.left(); }
  [[noreturn]] void fail(const std::string& seen) const { in_.fail(seen); }

 private:
  ByteCursor in_;
};

std::string text_of(const Field& field) {
  return {reinterpret_cast<const char*>(field.bytes.data()), field.bytes.size()};
}

struct Blob {
  std::vector<int64_t> shape;
  NumberType type = NumberType::f32;
  Bytes numbers;
};

// A layer as both versions of the format describe it.
struct Layer {
  std::string name, type;
  std::vector<Blob> blobs;
  double epsilon = -1;  // of a BatchNorm that says it
};

class CaffeFile {
 public:
  CaffeFile(Bytes bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  SourceFile run() {
    file_.format = SourceFormat::caffe;
    file_.what = "a Caffe model";
    Message net(bytes_, path_);
    for (Field f; net.next(&f);) {
      const bool first = f.number == 2, second = f.number == 100;
      if ((first || second) && f.wire != kBytes) net.fail("a layer is no message");
      if (!first && !second) continue;
      if (++layers_ > kMostLayers) net.fail("it has more than 100,000 layers");
      add(first ? layer_1(f.bytes) : layer_2(f.bytes));
    }
    if (layers_ == 0) net.fail("it has no layers");
    return std::move(file_);
  }

 private:
  Layer layer_1(Bytes bytes) const {
    Layer layer;
    Message m(bytes, path_);
    for (Field f; m.next(&f);) {
      if (f.number == 1) m.fail("a layer is of Caffe's oldest form: upgrade it with Caffe's tools");
      if (f.number == 4) layer.name = text_of(f);
      if (f.number == 6) add_blob(layer, f, m);
    }
    return layer;
  }

  Layer layer_2(Bytes bytes) const {
    Layer layer;
    Message m(bytes, path_);
    for (Field f; m.next(&f);) {
      if (f.number == 1) layer.name = text_of(f);
      if (f.number == 2) layer.type = text_of(f);
      if (f.number == 7) add_blob(layer, f, m);
      if (f.number == 139) layer.epsilon = epsilon(f.bytes);
    }
    return layer;
  }

  double epsilon(Bytes batch_norm_param) const {
    double value = -1;
    Message m(batch_norm_param, path_);
    for (Field f; m.next(&f);)
      if (f.number == 3 && f.wire == kFour)
        value = static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(f.value)));
    return value;
  }

  void add_blob(Layer& layer, const Field& field, const Message& m) const {
    if (field.wire != kBytes) m.fail("a blob is no message");
    if (layer.blobs.size() == kMostBlobs) m.fail(layer.name + " has more than 16 blobs");
    layer.blobs.push_back(blob(field.bytes));
  }

  Blob blob(Bytes bytes) const {
    Blob blob;
    std::vector<int64_t> old = {0, 0, 0, 0};
    bool has_old = false;
    Message m(bytes, path_);
    for (Field f; m.next(&f);) {
      if (f.number >= 1 && f.number <= 4 && f.wire == kVarint) {
        old[f.number - 1] = static_cast<int64_t>(f.value);
        has_old = true;
      }
      if (f.number == 7) blob.shape = sides(f.bytes);
      if (f.number != 5 && f.number != 8) continue;
      if (f.wire != kBytes || !blob.numbers.empty()) m.fail("numbers are not packed together");
      blob.numbers = f.bytes;
      blob.type = f.number == 5 ? NumberType::f32 : NumberType::f64;
    }
    if (has_old && blob.shape.empty()) blob.shape = without_ones(std::move(old));
    const uint64_t size = blob.type == NumberType::f32 ? 4 : 8;
    const int64_t count = element_count(blob.shape);
    if (count < 0 || blob.numbers.size() % size != 0 ||
        blob.numbers.size() / size != static_cast<uint64_t>(count))
      m.fail(fmt::format("a blob has {} bytes of numbers, which is not what its shape says",
                         blob.numbers.size()));
    return blob;
  }

  // BlobShape: the sides, packed or one by one.
  std::vector<int64_t> sides(Bytes bytes) const {
    std::vector<int64_t> sides;
    Message m(bytes, path_);
    const auto add = [&](uint64_t side) {
      if (sides.size() == kMostRank) m.fail("a blob has more than 8 sides");
      sides.push_back(static_cast<int64_t>(side));
    };
    for (Field f; m.next(&f);) {
      if (f.number != 1) continue;
      if (f.wire == kVarint) add(f.value);
      if (f.wire != kBytes) continue;
      for (Message packed(f.bytes, path_); packed.left() > 0;) add(packed.varint());
    }
    return sides;
  }

  // The old form always has four: a matrix is {1,1,O,I}, a vector {1,1,1,N}.
  static std::vector<int64_t> without_ones(std::vector<int64_t> shape) {
    if (shape[0] == 1 && shape[1] == 1) shape.erase(shape.begin(), shape.begin() + 2);
    if (shape.size() == 2 && shape[0] == 1) shape.erase(shape.begin());
    return shape;
  }

  void add(const Layer& layer) {
    if (layer.name == "pool1") pooled_ = true;
    if (layer.name == "norm1" && pooled_)
      throw Error(2386, path_, "this is CaffeNet, which pools before it normalizes",
                  "give the model of bvlc_alexnet; it has the same shapes, but is another network");
    const std::string where = fmt::format("{}: {}", path_, layer.name);
    if (layer.blobs.empty()) return;
    const bool norm = layer.type == "BatchNorm", scale = layer.type == "Scale";
    if (norm && (layer.blobs.size() != 3 || element_count(layer.blobs[2].shape) != 1))
      throw Error(2385, where, "a BatchNorm does not have mean, variance and a factor",
                  "write it again with Caffe");
    if (norm && layer.epsilon >= 0) file_.epsilon[layer.name] = layer.epsilon;
    const size_t count = norm ? 2 : layer.blobs.size();
    for (size_t i = 0; i < count; ++i) {
      static constexpr const char* kNames[3][2] = {
          {"weight", "bias"}, {"mean", "variance"}, {"gamma", "beta"}};
      const auto* names = kNames[norm ? 1 : scale ? 2 : 0];
      add_tensor(layer, i, i < 2 ? names[i] : fmt::format("blob {}", i), where);
    }
  }

  void add_tensor(const Layer& layer, size_t i, const std::string& role, const std::string& where) {
    const Blob& blob = layer.blobs[i];
    const std::string type = blob.type == NumberType::f32 ? "float" : "double";
    const auto numbers = [where, type](const Blob& b) {
      const StridedNumbers n{b.numbers, b.type, false, 0, b.shape, row_major_strides(b.shape)};
      return read_numbers(n, type, where);
    };
    SourceTensor tensor{fmt::format("{}/{}", layer.name, role), blob.shape, type,
                        [numbers, blob] { return numbers(blob); }};
    if (layer.type == "BatchNorm") {
      const Blob factor = layer.blobs[2];
      tensor.read = [numbers, blob, factor] {
        std::vector<float> values = numbers(blob);
        const auto by = static_cast<double>(numbers(factor)[0]);
        for (float& v : values)
          v = by == 0 ? 0.0F : static_cast<float>(static_cast<double>(v) / by);
        return values;
      };
    }
    file_.tensors.push_back(std::move(tensor));
  }

  Bytes bytes_;
  std::string path_;
  SourceFile file_;
  size_t layers_ = 0;
  bool pooled_ = false;
};

}  // namespace

SourceFile open_caffe(Bytes bytes, const std::string& path) { return CaffeFile(bytes, path).run(); }

}  // namespace ft
