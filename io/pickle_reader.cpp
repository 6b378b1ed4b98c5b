// The stack machine of pickle, without the part that runs anything.
#include "io/pickle_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "io/byte_cursor.h"
#include "tensor/error.h"

namespace ft {
namespace {

using Kind = PickleValue::Kind;

constexpr size_t kMostBytes = 16u << 20, kMostValues = 1'000'000, kMostItems = 4'000'000;
constexpr size_t kMostArguments = 16;
constexpr int kNewestProtocol = 5;
constexpr std::string_view kOrderedDict = "collections.OrderedDict";
constexpr const char* kSaveTensors =
    "save tensors alone: torch.save(model.state_dict(), FILE) with the program that made it";

class Machine {
 public:
  Machine(std::span<const std::byte> bytes, const std::string& where,
          std::span<const std::string_view> symbols)
      : in_(bytes.first(std::min(bytes.size(), kMostBytes)), 2362, where),
        where_(where),
        symbols_(symbols) {}

  Pickle run() {
    if (in_.u8() != 0x80) in_.fail("this is no pickle of protocol 2 or newer", kSaveTensors);
    protocol();
    for (uint8_t op = in_.u8(); op != '.'; op = in_.u8())
      if (!scalar(op) && !text(op) && !container(op) && !memory(op) && !object(op)) refuse(op);
    if (!marks_.empty() || stack_.size() != 1)
      in_.fail(fmt::format("the pickle ends with {} values", stack_.size()));
    pickle_.root = stack_.back();
    pickle_.bytes = in_.at();
    return std::move(pickle_);
  }

 private:
  // ---- the stack

  uint32_t add(PickleValue value) {
    if (pickle_.values.size() == kMostValues)
      throw Error(2364, where_, fmt::format("the pickle has more than {} values", kMostValues),
                  kSaveTensors);
    pickle_.values.push_back(std::move(value));
    return static_cast<uint32_t>(pickle_.values.size() - 1);
  }
  bool push(PickleValue value) {
    stack_.push_back(add(std::move(value)));
    return true;
  }
  bool push_integer(Kind kind, int64_t value) {
    PickleValue v;
    v.kind = kind;
    v.integer = value;
    return push(std::move(v));
  }
  bool push_text(Kind kind, std::string_view text) {
    PickleValue v;
    v.kind = kind;
    v.text = text;
    return push(std::move(v));
  }
  bool push_items(Kind kind, std::vector<uint32_t> items) {
    count_items(items.size());
    PickleValue v;
    v.kind = kind;
    v.items = std::move(items);
    return push(std::move(v));
  }
  // A tuple that was kept may be the argument of many calls: what is copied is counted.
  void count_items(size_t count) {
    items_ += count;
    if (items_ > kMostItems)
      throw Error(2364, where_, fmt::format("the pickle has more than {} items", kMostItems),
                  kSaveTensors);
  }
  uint32_t pop() {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()))
      in_.fail(fmt::format("byte {} of the pickle takes a value that is not there", in_.at()));
    const uint32_t top = stack_.back();
    stack_.pop_back();
    return top;
  }
  PickleValue& top() {
    const uint32_t top = pop();
    stack_.push_back(top);
    return pickle_.values[top];
  }
  std::vector<uint32_t> pop_many(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty())
      in_.fail(fmt::format("byte {} of the pickle takes a mark that is not there", in_.at()));
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<uint32_t> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  // ---- instructions; false: not one of these

  void protocol() {
    if (const int version = in_.u8(); version < 2 || version > kNewestProtocol)
      in_.fail(fmt::format("the pickle has protocol {}", version), kSaveTensors);
  }

  bool scalar(uint8_t op) {
    switch (op) {
      case 'N':
        return push({});
      case 0x88:
      case 0x89:
        return push_integer(Kind::boolean, op == 0x88);
      case 'J':
        return push_integer(Kind::integer, in_.number<int32_t>());
      case 'K':
        return push_integer(Kind::integer, in_.u8());
      case 'M':
        return push_integer(Kind::integer, in_.u16());
      case 0x8a:
        return long_integer();
      case 'G':
        return real();
      case 0x80:
        return protocol(), true;
      case 0x95:  // a frame: how much may be read ahead
        return in_.u64(), true;
      default:
        return false;
    }
  }

  // Two's complement, little-endian, as many bytes as it takes.
  bool long_integer() {
    const std::string_view digits = in_.text(in_.u8());
    if (digits.size() > 8) return push_text(Kind::bytes, digits);
    const bool negative = !digits.empty() && (digits.back() & 0x80) != 0;
    uint64_t value = negative ? ~uint64_t{0} : 0;
    for (size_t i = digits.size(); i-- > 0;)
      value = value << 8 | static_cast<unsigned char>(digits[i]);
    return push_integer(Kind::integer, static_cast<int64_t>(value));
  }

  bool real() {  // big-endian
    uint64_t bits = 0;
    for (int i = 0; i < 8; ++i) bits = bits << 8 | in_.u8();
    PickleValue v;
    v.kind = Kind::real;
    v.real = std::bit_cast<double>(bits);
    return push(std::move(v));
  }

  bool text(uint8_t op) {
    switch (op) {
      case 'X':
      case 'T':  // a string of Python 2
        return push_text(Kind::text, in_.text(in_.u32()));
      case 0x8c:
      case 'U':
        return push_text(Kind::text, in_.text(in_.u8()));
      case 0x8d:
        return push_text(Kind::text, in_.text(in_.u64()));
      case 'B':
        return push_text(Kind::bytes, in_.text(in_.u32()));
      case 'C':
        return push_text(Kind::bytes, in_.text(in_.u8()));
      default:
        return false;
    }
  }

  bool container(uint8_t op) {
    switch (op) {
      case '(':
        return marks_.push_back(stack_.size()), true;
      case ')':
        return push_items(Kind::tuple, {});
      case ']':
        return push_items(Kind::list, {});
      case '}':
        return push_items(Kind::dict, {});
      case 't':
        return push_items(Kind::tuple, pop_to_mark());
      case 0x85:
      case 0x86:
      case 0x87:
        return push_items(Kind::tuple, pop_many(op - size_t{0x84}));
      case 'a':
        return extend(Kind::list, pop_many(1));
      case 'e':
        return extend(Kind::list, pop_to_mark());
      case 's':
        return extend(Kind::dict, pop_many(2));
      case 'u':
        return extend(Kind::dict, pop_to_mark());
      default:
        return false;
    }
  }

  bool extend(Kind kind, const std::vector<uint32_t>& items) {
    PickleValue& container = top();
    if (container.kind != kind || (kind == Kind::dict && items.size() % 2 != 0))
      in_.fail(fmt::format("byte {} of the pickle adds to what is no container for it", in_.at()));
    container.items.insert(container.items.end(), items.begin(), items.end());
    return true;
  }

  bool memory(uint8_t op) {
    switch (op) {
      case 'q':
        return keep(in_.u8());
      case 'r':
        return keep(in_.u32());
      case 0x94:
        return keep(static_cast<uint32_t>(memo_.size()));
      case 'h':
        return recall(in_.u8());
      case 'j':
        return recall(in_.u32());
      default:
        return false;
    }
  }

  bool keep(uint32_t slot) {
    const uint32_t value = pop();
    stack_.push_back(value);
    memo_[slot] = value;
    return true;
  }
  bool recall(uint32_t slot) {
    const auto kept = memo_.find(slot);
    if (kept == memo_.end())
      in_.fail(fmt::format("byte {} of the pickle recalls value {}, which was not kept", in_.at(),
                           slot));
    stack_.push_back(kept->second);
    return true;
  }

  bool object(uint8_t op) {
    switch (op) {
      case 'c': {
        const std::string_view module = in_.line();
        return symbol(module, in_.line());
      }
      case 0x93: {
        const uint32_t name = pop(), module = pop();
        return symbol(text_of(module), text_of(name));
      }
      case 'i': {  // builds an instance of a class
        const std::string_view module = in_.line();
        symbol(module, in_.line());
        return false;
      }
      case 'Q':
        return push_items(Kind::persistent, pop_many(1));
      case 'R':
        return call();
      case 'b':  // attributes of an object: those of a dict say nothing about tensors
        pop();
        if (top().kind != Kind::dict) refuse(op);
        return true;
      default:
        return false;
    }
  }

  std::string_view text_of(uint32_t value) const {
    if (pickle_[value].kind != Kind::text) in_.fail("the name of a symbol is no text");
    return pickle_[value].text;
  }

  bool symbol(std::string_view module, std::string_view name) {
    const std::string full = fmt::format("{}.{}", module, name);
    const auto known = std::ranges::find(symbols_, full);
    if (known == symbols_.end())
      throw Error(
          2363, where_,
          fmt::format("the pickle asks for {}, which is no part of tensors and plain containers; "
                      "nothing was run",
                      full),
          kSaveTensors);
    return push_text(Kind::symbol, *known);
  }

  bool call() {
    const uint32_t arguments = pop(), called = pop();
    if (pickle_[called].kind != Kind::symbol || pickle_[arguments].kind != Kind::tuple)
      in_.fail(fmt::format("byte {} of the pickle calls what is no symbol", in_.at()));
    if (pickle_[arguments].items.size() > kMostArguments) in_.fail("a call has too many arguments");
    const std::vector<uint32_t> given = pickle_[arguments].items;
    if (pickle_[called].text == kOrderedDict) return push_items(Kind::dict, pairs_of(given));
    std::vector<uint32_t> items = {called};
    items.insert(items.end(), given.begin(), given.end());
    return push_items(Kind::call, std::move(items));
  }

  // Python 2 gave an ordered dictionary its content as a list of pairs.
  std::vector<uint32_t> pairs_of(const std::vector<uint32_t>& arguments) {
    std::vector<uint32_t> items;
    for (uint32_t argument : arguments)
      for (uint32_t pair : pickle_[argument].items) {
        if (pickle_[pair].items.size() != 2) in_.fail("an ordered dictionary is not made of pairs");
        count_items(2);
        items.insert(items.end(), pickle_[pair].items.begin(), pickle_[pair].items.end());
      }
    return items;
  }

  [[noreturn]] void refuse(uint8_t op) const {
    throw Error(
        2364, where_,
        fmt::format("byte {} of the pickle is the instruction 0x{:02x}, which tensors do not need",
                    in_.at() - 1, op),
        kSaveTensors);
  }

  ByteCursor in_;
  const std::string& where_;
  std::span<const std::string_view> symbols_;
  Pickle pickle_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;  // heights of the stack
  size_t items_ = 0;           // in all containers
  std::unordered_map<uint32_t, uint32_t> memo_;
};

}  // namespace

const PickleValue* Pickle::find(const PickleValue& dict, std::string_view key) const {
  if (dict.kind != Kind::dict) return nullptr;
  for (size_t i = 0; i + 1 < dict.items.size(); i += 2) {
    const PickleValue& k = values[dict.items[i]];
    if (k.kind == Kind::text && k.text == key) return &values[dict.items[i + 1]];
  }
  return nullptr;
}

Pickle read_pickle(std::span<const std::byte> bytes, const std::string& where,
                   std::span<const std::string_view> symbols) {
  return Machine(bytes, where, symbols).run();
}

}  // namespace ft
