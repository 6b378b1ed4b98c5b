// From a pickle and the bytes beside it to tensors.
#include "io/torch_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "io/byte_cursor.h"
#include "io/pickle_reader.h"
#include "io/zip_entries.h"
#include "tensor/error.h"

namespace ft {
namespace {

using Kind = PickleValue::Kind;
using Bytes = std::span<const std::byte>;

struct StorageType {
  std::string_view symbol;
  size_t bytes;
  NumberType type;
};

constexpr StorageType kStorageTypes[] = {
    {"torch.FloatStorage", 4, NumberType::f32},   {"torch.DoubleStorage", 8, NumberType::f64},
    {"torch.HalfStorage", 2, NumberType::f16},    {"torch.BFloat16Storage", 2, NumberType::bf16},
    {"torch.LongStorage", 8, NumberType::other},  {"torch.IntStorage", 4, NumberType::other},
    {"torch.ShortStorage", 2, NumberType::other}, {"torch.CharStorage", 1, NumberType::other},
    {"torch.ByteStorage", 1, NumberType::other},  {"torch.BoolStorage", 1, NumberType::other},
};

constexpr std::string_view kTensor = "torch._utils._rebuild_tensor";
constexpr std::string_view kTensor2 = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";

// The whole list: nothing else may be named in a file.
constexpr std::string_view kSymbols[] = {
    "collections.OrderedDict",
    kTensor,
    kTensor2,
    kParameter,
    "torch.Size",
    "torch.FloatStorage",
    "torch.DoubleStorage",
    "torch.HalfStorage",
    "torch.BFloat16Storage",
    "torch.LongStorage",
    "torch.IntStorage",
    "torch.ShortStorage",
    "torch.CharStorage",
    "torch.ByteStorage",
    "torch.BoolStorage",
};

constexpr std::string_view kWrappers[] = {"state_dict", "model_state_dict", "model"};
constexpr std::string_view kStreamMagic = "\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19";
constexpr int64_t kStreamVersion = 1001;
constexpr size_t kMostRank = 8;
constexpr const char* kSaveAgain = "save it again: torch.save(model.state_dict(), FILE)";
constexpr const char* kCopyAgain = "copy or download the file again";

// A storage as the pickle announces it.
struct Storage {
  const StorageType* type = nullptr;
  uint64_t elements = 0;
  Bytes bytes;
};

// A tensor of the pickle, not yet checked against its storage.
struct Described {
  std::string name, key;
  uint64_t first = 0;
  std::vector<int64_t> shape, stride;
};

class TensorFinder {
 public:
  TensorFinder(const Pickle& pickle, const std::string& path) : pickle_(pickle), path_(path) {}

  std::vector<Described> tensors;
  std::map<std::string, Storage> storages;  // by key

  void run() {
    for (const PickleValue& value : pickle_.values)
      if (value.kind == Kind::persistent) storage(path_, value);
    const PickleValue& dict = state_dict();
    std::set<std::string_view> names;
    for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
      const PickleValue& key = pickle_[dict.items[i]];
      const PickleValue& value = pickle_[dict.items[i + 1]];
      if (key.kind != Kind::text || !is_tensor(value))
        other(fmt::format("the entry \"{}\" is no tensor",
                          key.kind == Kind::text ? key.text : "(not named by a text)"));
      if (!names.insert(key.text).second)
        throw Error(2356, path_, fmt::format("two tensors are named {}", key.text), kSaveAgain);
      add(std::string(key.text), value);
    }
  }

 private:
  [[noreturn]] void other(const std::string& seen) const {
    throw Error(2366, path_, "the file is no plain dictionary of tensors: " + seen, kSaveAgain);
  }
  [[noreturn]] void bad(const std::string& name, const std::string& seen) const {
    throw Error(2365, name == path_ ? path_ : fmt::format("{}: {}", path_, name), seen, kCopyAgain);
  }

  bool calls(const PickleValue& v, std::string_view symbol) const {
    return v.kind == Kind::call && pickle_[v.items[0]].text == symbol;
  }
  bool is_tensor(const PickleValue& v) const {
    return calls(v, kTensor) || calls(v, kTensor2) || calls(v, kParameter);
  }
  bool has_tensors(const PickleValue& dict) const {
    if (dict.kind != Kind::dict) return false;
    for (size_t i = 1; i < dict.items.size(); i += 2)
      if (is_tensor(pickle_[dict.items[i]])) return true;
    return false;
  }

  const PickleValue& state_dict() const {
    const PickleValue& root = pickle_[pickle_.root];
    if (root.kind != Kind::dict) other("its content is something else");
    if (has_tensors(root)) return root;
    const PickleValue* found = nullptr;
    for (std::string_view name : kWrappers) {
      const PickleValue* inner = pickle_.find(root, name);
      if (inner == nullptr || !has_tensors(*inner)) continue;
      if (found != nullptr) other("several of its entries hold tensors");
      found = inner;
    }
    if (found == nullptr) other("none of state_dict, model_state_dict and model holds tensors");
    return *found;
  }

  std::vector<int64_t> sides(const std::string& name, uint32_t index) const {
    const PickleValue* v = &pickle_[index];
    if (calls(*v, "torch.Size") && v->items.size() == 2) v = &pickle_[v->items[1]];
    if (v->kind != Kind::tuple || v->items.size() > kMostRank)
      bad(name, "its shape is no tuple of at most 8 numbers");
    std::vector<int64_t> sides;
    for (uint32_t item : v->items) {
      if (pickle_[item].kind != Kind::integer || pickle_[item].integer < 0)
        bad(name, "its shape or strides are not numbers from 0 on");
      sides.push_back(pickle_[item].integer);
    }
    return sides;
  }

  void add(const std::string& name, const PickleValue& value) {
    const PickleValue* v = &value;
    if (calls(*v, kParameter) && v->items.size() == 4) v = &pickle_[v->items[1]];
    const bool first = calls(*v, kTensor) && v->items.size() == 5;
    const bool second = calls(*v, kTensor2) && (v->items.size() == 7 || v->items.size() == 8);
    if (!first && !second) bad(name, "it is not made as tensors are");
    Described d;
    d.name = name;
    d.key = storage(name, pickle_[v->items[1]]);
    const PickleValue& offset = pickle_[v->items[2]];
    if (offset.kind != Kind::integer || offset.integer < 0)
      bad(name, "its offset is no number from 0 on");
    d.first = static_cast<uint64_t>(offset.integer);
    d.shape = sides(name, v->items[3]);
    d.stride = sides(name, v->items[4]);
    tensors.push_back(std::move(d));
  }

  // ("storage", class, key, device, elements) and, in the stream, None for "not a part of another".
  std::string storage(const std::string& name, const PickleValue& id) {
    const PickleValue* v = id.kind == Kind::persistent ? &pickle_[id.items[0]] : &id;
    const bool view = v->items.size() == 6 && pickle_[v->items[5]].kind != Kind::none;
    if (v == &id || v->kind != Kind::tuple || v->items.size() < 5 || v->items.size() > 6 || view)
      bad(name, "its storage is not described as storages are");
    const auto item = [&](size_t i) -> const PickleValue& { return pickle_[v->items[i]]; };
    const auto type = std::ranges::find(kStorageTypes, item(1).text, &StorageType::symbol);
    if (item(0).text != "storage" || item(1).kind != Kind::symbol ||
        type == std::end(kStorageTypes) || item(2).kind != Kind::text ||
        item(4).kind != Kind::integer || item(4).integer < 0)
      bad(name, "its storage is not described as storages are");
    const std::string key(item(2).text);
    const auto elements = static_cast<uint64_t>(item(4).integer);
    const auto [known, fresh] = storages.try_emplace(key, Storage{type, elements, {}});
    if (!fresh && (known->second.type != type || known->second.elements != elements))
      bad(name, fmt::format("its storage {} is described in two ways", key));
    return key;
  }

  const Pickle& pickle_;
  const std::string& path_;
};

// Throws unless every element of the tensor lies in its storage.
void check_inside(const Described& d, const Storage& storage, const std::string& path) {
  const auto bad = [&](const std::string& seen) {
    throw Error(2365, fmt::format("{}: {}", path, d.name), seen, kCopyAgain);
  };
  if (storage.bytes.size() / storage.type->bytes != storage.elements ||
      storage.bytes.size() % storage.type->bytes != 0)
    bad(fmt::format("its storage {} has {} bytes, {} numbers are announced", d.key,
                    storage.bytes.size(), storage.elements));
  const int64_t count = element_count(d.shape);
  if (count < 0 || d.shape.size() != d.stride.size()) bad("its shape is impossible");
  if (d.first > storage.elements) bad("it begins behind its storage");
  if (count == 0) return;
  uint64_t last = d.first;  // element; at most elements, so that no sum overflows
  for (size_t i = 0; i < d.shape.size(); ++i) {
    const auto steps = static_cast<uint64_t>(d.shape[i] - 1),
               stride = static_cast<uint64_t>(d.stride[i]);
    if (steps != 0 && stride > (storage.elements - last) / steps)
      bad("it reaches beyond its storage");
    last += steps * stride;
  }
  if (last >= storage.elements) bad("it reaches beyond its storage");
}

std::vector<SourceTensor> make_tensors(const TensorFinder& found, bool big_endian,
                                       const std::string& path) {
  std::vector<SourceTensor> tensors;
  for (const Described& d : found.tensors) {
    const Storage& storage = found.storages.at(d.key);
    check_inside(d, storage, path);
    const StridedNumbers numbers{storage.bytes, storage.type->type, big_endian, d.first, d.shape,
                                 d.stride};
    const std::string type(storage.type->symbol), where = fmt::format("{}: {}", path, d.name);
    tensors.push_back({d.name, d.shape, type,
                       [numbers, type, where] { return read_numbers(numbers, type, where); }});
  }
  return tensors;
}

// The entry with this path below the one folder of the archive, or nullptr.
const ZipEntry* find_entry(const std::vector<ZipEntry>& entries, const std::string& folder,
                           const std::string& name) {
  const auto found = std::ranges::find(entries, folder + name, &ZipEntry::name);
  return found == entries.end() ? nullptr : &*found;
}

// "archive/" of "archive/data.pkl".
std::string folder_of(const std::vector<ZipEntry>& entries, const std::string& path) {
  const auto refuse = [&](const std::string& seen, const char* remedy) {
    throw Error(2351, path, seen, remedy);
  };
  if (find_entry(entries, "", "model.weights.h5") != nullptr)
    refuse("this is a .keras archive, not plain weights",
           "save it again: model.save_weights(\"FILE.weights.h5\")");
  std::string folder;
  for (const ZipEntry& entry : entries)
    if (const size_t slash = entry.name.find('/'); entry.name.substr(slash + 1) == "data.pkl")
      folder = entry.name.substr(0, slash + 1);
  if (folder.empty())
    refuse("this zip archive holds no data.pkl: torch.save did not write it", kSaveAgain);
  if (find_entry(entries, folder, "constants.pkl") != nullptr ||
      std::ranges::any_of(entries,
                          [&](const ZipEntry& e) { return e.name.starts_with(folder + "code/"); }))
    refuse("this is a TorchScript program, not plain tensors", kSaveAgain);
  for (const ZipEntry& entry : entries)
    if (entry.compressed)
      throw Error(
          2361, path,
          fmt::format("the zip archive has a compressed entry {}, which is not read", entry.name),
          "save it again with torch.save");
  return folder;
}

bool says_big_endian(const ZipEntry* entry, const std::string& path) {
  if (entry == nullptr) return false;  // written before 2.1, which was little-endian
  const std::string_view order(reinterpret_cast<const char*>(entry->data.data()),
                               entry->data.size());
  if (order != "little" && order != "big")
    throw Error(2366, path, "the entry byteorder says neither little nor big", kCopyAgain);
  return order == "big";
}

}  // namespace

SourceFile open_torch_zip(Bytes bytes, const std::string& path) {
  const std::vector<ZipEntry> entries = read_zip(bytes, path);
  const std::string folder = folder_of(entries, path);
  const Bytes program = find_entry(entries, folder, "data.pkl")->data;
  const Pickle pickle = read_pickle(program, path, kSymbols);
  if (pickle.bytes != program.size())
    throw Error(2362, path, "bytes follow the end of the pickle", kCopyAgain);
  TensorFinder found(pickle, path);
  found.run();
  for (auto& [key, storage] : found.storages) {
    const ZipEntry* entry = find_entry(entries, folder, "data/" + key);
    if (entry == nullptr)
      throw Error(2365, path, fmt::format("the storage {} is missing in the archive", key),
                  kCopyAgain);
    storage.bytes = entry->data;
  }
  const bool big_endian = says_big_endian(find_entry(entries, folder, "byteorder"), path);
  SourceFile file{SourceFormat::torch, "a PyTorch file", {}, {}};
  file.tensors = make_tensors(found, big_endian, path);
  return file;
}

namespace {

// The four pickles and the storages behind them, in the order of the file.
class StreamReader {
 public:
  StreamReader(Bytes bytes, const std::string& path)
      : in_(bytes, 2362, path), rest_(bytes), path_(path) {}

  SourceFile run() {
    const Pickle magic = next();
    const Pickle version = next(), system = next();
    if (magic[magic.root].kind != Kind::bytes || magic[magic.root].text != kStreamMagic)
      throw Error(2366, path_, "this pickle was not written by torch.save", kSaveAgain);
    if (version[version.root].integer != kStreamVersion)
      throw Error(2366, path_,
                  fmt::format("the stream has version {}, expected {}",
                              version[version.root].integer, kStreamVersion),
                  kSaveAgain);
    const PickleValue* little = system.find(system[system.root], "little_endian");
    if (little == nullptr || little->kind != Kind::boolean)
      throw Error(2366, path_, "the stream does not say its byte order", kSaveAgain);
    const Pickle content = next(), keys = next();
    TensorFinder found(content, path_);
    found.run();
    read_storages(keys, found);
    SourceFile file{SourceFormat::torch, "a PyTorch file (the stream of before 1.6)", {}, {}};
    file.tensors = make_tensors(found, little->integer == 0, path_);
    return file;
  }

 private:
  Pickle next() {
    Pickle pickle = read_pickle(rest_, path_, kSymbols);
    in_.take(pickle.bytes);
    rest_ = rest_.subspan(pickle.bytes);
    return pickle;
  }

  void read_storages(const Pickle& keys, TensorFinder& found) {
    const PickleValue& list = keys[keys.root];
    if (list.kind != Kind::list) in_.fail("the list of storages is something else");
    std::set<std::string_view> seen;
    for (uint32_t item : list.items) {
      const std::string key(keys[item].text);
      const auto storage = found.storages.find(key);
      if (storage == found.storages.end() || !seen.insert(keys[item].text).second)
        in_.fail(fmt::format("the storage {} belongs to no tensor, or is listed twice", key));
      if (in_.u64() != storage->second.elements)
        in_.fail(fmt::format("the storage {} has another length than announced", key));
      const uint64_t size = storage->second.type->bytes;
      if (storage->second.elements > in_.left() / size)
        in_.fail(fmt::format("the storage {} is longer than the file", key));
      storage->second.bytes = in_.take(storage->second.elements * size);
    }
    if (seen.size() != found.storages.size()) in_.fail("a storage is missing");
    if (in_.left() != 0) in_.fail(fmt::format("{} bytes follow the last storage", in_.left()));
  }

  ByteCursor in_;
  Bytes rest_;
  const std::string& path_;
};

}  // namespace

SourceFile open_torch_stream(Bytes bytes, const std::string& path) {
  return StreamReader(bytes, path).run();
}

}  // namespace ft
