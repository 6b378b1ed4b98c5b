// Writers of other programs' weight files, small enough to be read: pickles and archives as torch.save makes them, and
// safetensors. They write what they are told, sense or nonsense. Header-only.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "io/png_structure.h"  // crc32
#include "tensor/error.h"

namespace ft::test {

inline std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// 0, or the number of the Error that `action` throws; its line goes to `line`.
inline int error_number(const std::function<void()>& action, std::string* line = nullptr) {
  try {
    action();
  } catch (const Error& e) {
    if (line != nullptr) *line = e.line();
    return e.number();
  }
  return 0;
}

// `value` as little-endian bytes.
template <class T>
std::string le(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// ---- pickle, protocol 2

namespace pickle {

const std::string kNone = "N", kFalse = "\x89", kTrue = "\x88";

inline std::string program(const std::string& body) { return "\x80\x02" + body + "."; }
inline std::string text(const std::string& s) {
  return "X" + le(static_cast<uint32_t>(s.size())) + s;
}
inline std::string number(int64_t n) { return "\x8a\x08" + le(n); }
inline std::string symbol(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}
inline std::string numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (int64_t v : values) items.push_back(number(v));
  return tuple(items);
}
inline std::string call(const std::string& function, const std::string& arguments) {
  return function + arguments + "R";
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& items) {
  std::string all = call(symbol("collections", "OrderedDict"), ")") + "(";
  for (const auto& [key, value] : items) all += text(key) + value;
  return all + "u";
}

}  // namespace pickle

// A tensor as torch describes it, and the bytes of its storage.
struct TorchTensor {
  std::string name, key = "0", storage_class = "FloatStorage";
  int64_t elements = 0;  // of the storage
  int64_t offset = 0;
  std::vector<int64_t> shape, stride;

  std::string pickled(bool stream = false) const {
    using namespace pickle;
    std::vector<std::string> id = {text("storage"), symbol("torch", storage_class), text(key),
                                   text("cpu"), number(elements)};
    if (stream) id.push_back(kNone);
    return call(symbol("torch._utils", "_rebuild_tensor_v2"),
                tuple({tuple(id) + "Q", number(offset), numbers(shape), numbers(stride), kFalse,
                       dict({})}));
  }
};

inline std::string state_dict(const std::vector<TorchTensor>& tensors, bool stream = false) {
  std::vector<std::pair<std::string, std::string>> items;
  for (const TorchTensor& t : tensors) items.emplace_back(t.name, t.pickled(stream));
  return pickle::dict(items);
}

// ---- zip, stored

struct ZipItem {
  std::string name, data;
  uint16_t flags = 0, method = 0;
};

inline std::string zip(const std::vector<ZipItem>& items, bool zip64 = false) {
  std::string file, directory;
  for (const ZipItem& item : items) {
    const auto* data = reinterpret_cast<const uint8_t*>(item.data.data());
    const std::string crc = le(crc32({data, item.data.size()})),
                      size = le(static_cast<uint32_t>(item.data.size()));
    const bool later = (item.flags & 8) != 0;
    const std::string zero(12, '\0'), sums = crc + size + size;
    const std::string name = le(static_cast<uint16_t>(item.name.size()));
    const std::string head = le(item.flags) + le(item.method) + std::string(4, '\0');
    const auto at = static_cast<uint32_t>(file.size());
    file += "PK\x03\x04" + le(uint16_t{20}) + head + (later ? zero : sums) + name +
            le(uint16_t{0}) + item.name + item.data;
    if (later) file += "PK\x07\x08" + sums;
    directory += "PK\x01\x02" + le(uint16_t{20}) + le(uint16_t{20}) + head + sums + name +
                 std::string(12, '\0') + le(at) + item.name;
  }
  const uint64_t begin = file.size(), bytes = directory.size(), count = items.size();
  file += directory;
  if (zip64)
    file += "PK\x06\x06" + le(uint64_t{44}) + std::string(12, '\0') + le(count) + le(count) +
            le(bytes) + le(begin) + "PK\x06\x07" + le(uint32_t{0}) + le(begin + bytes) +
            le(uint32_t{1});
  const auto few = static_cast<uint16_t>(count);
  return file + "PK\x05\x06" + std::string(4, '\0') + le(few) + le(few) +
         le(static_cast<uint32_t>(bytes)) + le(static_cast<uint32_t>(begin)) + le(uint16_t{0});
}

// ---- whole files of torch.save

struct TorchStorage {
  std::string key, bytes;
};

inline std::string torch_zip(const std::string& content, const std::vector<TorchStorage>& storages,
                             const std::vector<ZipItem>& more = {}) {
  std::vector<ZipItem> items = {{"archive/data.pkl", pickle::program(content)}};
  for (const TorchStorage& s : storages) items.push_back({"archive/data/" + s.key, s.bytes, 8});
  items.insert(items.end(), more.begin(), more.end());
  return zip(items, true);
}

inline std::string torch_stream(const std::string& content,
                                const std::vector<TorchStorage>& storages,
                                const std::vector<int64_t>& elements) {
  using namespace pickle;
  std::string keys = "](", data;
  for (size_t i = 0; i < storages.size(); ++i) {
    keys += text(storages[i].key);
    data += le(elements[i]) + storages[i].bytes;
  }
  return program("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + program("M\xe9\x03") +
         program("}" + text("little_endian") + kTrue + "s") + program(content) +
         program(keys + "e") + data;
}

// ---- safetensors

inline std::string safetensors(const std::string& header, const std::string& data) {
  return le(static_cast<uint64_t>(header.size())) + header + data;
}

}  // namespace ft::test
