// A pickle that describes tensors, and an archive of stored entries around it and their numbers.
#include "io/torch_writer.h"

#include <bit>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "io/png_structure.h"  // crc32
#include "io/source_tensor.h"
#include "tensor/error.h"

namespace ft {
namespace {

using Bytes = std::span<const std::byte>;

constexpr size_t kAlignment = 64;  // of every storage, as torch.save aligns them
constexpr uint16_t kStoredVersion = 20, kFirstOfJanuary1980 = 1 << 5 | 1;

template <class T>
void append(std::string& text, T value) {
  static_assert(std::endian::native == std::endian::little, "numbers are written as they lie");
  text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// ---- pickle, protocol 2. The letters are its instructions; Source: CPython, Lib/pickletools.py.

class PickleWriter {
 public:
  PickleWriter() {
    out_ = "\x80\x02";
    dict_begin();
    out_ += '(';
  }

  void tensor(const PlainTensor& t, size_t key) {
    text(t.name);
    const bool is_float = t.type == PlainTensor::Type::f32;
    symbol("torch._utils", "_rebuild_tensor_v2");
    out_ += "((";
    text("storage");
    symbol("torch", is_float ? "FloatStorage" : "LongStorage");
    text(std::to_string(key));
    text("cpu");
    number(element_count(t.shape));
    out_ += "tQ";  // the storage: an object outside of the pickle
    number(0);     // offset in it
    numbers(t.shape);
    numbers(row_major_strides(t.shape));
    out_ += '\x89';  // requires_grad=False
    dict_begin();    // backward hooks: none
    out_ += "tR";
  }

  std::string finish() { return out_ + "u."; }

 private:
  void symbol(std::string_view module, std::string_view name) {
    out_ += 'c';
    out_ += module;
    out_ += '\n';
    out_ += name;
    out_ += '\n';
  }
  void dict_begin() {
    symbol("collections", "OrderedDict");
    out_ += ")R";
  }
  void text(std::string_view s) {
    out_ += 'X';
    append(out_, static_cast<uint32_t>(s.size()));
    out_ += s;
  }
  void number(int64_t n) {
    out_ += "\x8a\x08";  // so many bytes follow
    append(out_, n);
  }
  void numbers(const std::vector<int64_t>& values) {
    out_ += '(';
    for (int64_t v : values) number(v);
    out_ += 't';
  }

  std::string out_;
};

// ---- zip, stored entries. Source: PKWARE, APPNOTE.TXT.

class ZipWriter {
 public:
  void entry(const std::string& name, std::string text) {
    head(name, std::as_bytes(std::span(text)));
    file_.add(std::move(text));
  }
  // Borrows `data`.
  void entry(const std::string& name, Bytes data) {
    head(name, data);
    file_.borrow(data);
  }

  BytePieces finish() {
    const size_t begin = file_.size();
    std::string end = "PK\x05\x06" + std::string(4, '\0');
    append(end, entries_);
    append(end, entries_);
    append(end, static_cast<uint32_t>(directory_.size()));
    append(end, static_cast<uint32_t>(begin));
    append(end, uint16_t{0});  // no comment
    file_.add(directory_ + end);
    FT_CHECK(file_.size() <= kMostTorchBytes && entries_ < 0xffff,
             "the archive needs 64-bit fields");
    return std::move(file_);
  }

 private:
  void head(const std::string& name, Bytes data) {
    std::string shared;  // what the two headers of an entry have in common
    append(shared, kStoredVersion);
    append(shared, uint16_t{0});  // flags
    append(shared, uint16_t{0});  // method: stored
    append(shared, uint16_t{0});  // time
    append(shared, kFirstOfJanuary1980);
    append(shared, crc32({reinterpret_cast<const uint8_t*>(data.data()), data.size()}));
    append(shared, static_cast<uint32_t>(data.size()));
    append(shared, static_cast<uint32_t>(data.size()));
    append(shared, static_cast<uint16_t>(name.size()));
    const size_t at = file_.size();
    std::string head = "PK\x03\x04" + shared;
    const std::string padding = padding_behind(at + head.size() + sizeof(uint16_t) + name.size());
    append(head, static_cast<uint16_t>(padding.size()));
    file_.add(head + name + padding);
    directory_ += "PK\x01\x02";
    append(directory_, kStoredVersion);
    directory_ += shared + std::string(12, '\0');  // no extra field, no comment, no attributes
    append(directory_, static_cast<uint32_t>(at));
    directory_ += name;
    ++entries_;
  }

  // An extra field that ends at a multiple of kAlignment.
  static std::string padding_behind(size_t at) {
    constexpr size_t kHead = 2 * sizeof(uint16_t);
    const size_t bytes = (kAlignment - (at + kHead) % kAlignment) % kAlignment;
    std::string field = "FB";
    append(field, static_cast<uint16_t>(bytes));
    return field + std::string(bytes, 'Z');
  }

  BytePieces file_;
  std::string directory_;
  uint16_t entries_ = 0;  // a network has some hundred
};

}  // namespace

BytePieces torch_file(std::span<const PlainTensor> tensors) {
  PickleWriter pickle;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const PlainTensor& t = tensors[i];
    const size_t size = t.type == PlainTensor::Type::f32 ? 4 : 8;
    FT_CHECK(static_cast<size_t>(element_count(t.shape)) * size == t.bytes.size(),
             t.name + " has not the size of its shape");
    pickle.tensor(t, i);
  }
  ZipWriter zip;
  zip.entry("archive/data.pkl", pickle.finish());
  zip.entry("archive/byteorder", std::string("little"));
  for (size_t i = 0; i < tensors.size(); ++i)
    zip.entry("archive/data/" + std::to_string(i), tensors[i].bytes);
  zip.entry("archive/version", std::string("3\n"));
  return zip.finish();
}

}  // namespace ft
