// Reads a Python pickle as data. A pickle is a program for a small stack machine that can call anything; this reader
// knows the instructions that make numbers, texts and plain containers, and records a call where Python would make it.
// Nothing is ever called or looked up: a symbol outside of the caller's list ends the reading by its name.
// Bounds: 16 MiB of pickle, a million values; time is linear, and nothing recurses. Pure function; values borrow the bytes.
// Source: CPython, Lib/pickletools.py (opcodes of protocols 2 to 5).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ft {

struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,     // integer
    integer,     // integer
    real,        // real
    bytes,       // text; also an integer of more than 64 bits, as its bytes
    text,        // text
    tuple,       // items
    list,        // items
    dict,        // items: key, value, key, value ...
    symbol,      // text: "collections.OrderedDict"
    call,        // items: the symbol and its arguments
    persistent,  // items: the id that stands for an object outside of the pickle
  };
  Kind kind = Kind::none;
  int64_t integer = 0;
  double real = 0;
  std::string_view text;
  std::vector<uint32_t> items;  // indices into Pickle::values
};

struct Pickle {
  std::vector<PickleValue> values;
  uint32_t root = 0;
  size_t bytes = 0;  // that the pickle took, its end mark included

  const PickleValue& operator[](uint32_t i) const { return values[i]; }
  // Value of that key in a dict, or nullptr.
  const PickleValue* find(const PickleValue& dict, std::string_view key) const;
};

// Reads the pickle at the start of `bytes`; more may follow. A call of collections.OrderedDict becomes a dict.
// Throws Error 2362 for one that is cut or makes no sense, 2363 for a symbol that is not in `symbols` ("module.name"),
// 2364 for an instruction that is not read and for too many values.
Pickle read_pickle(std::span<const std::byte> bytes, const std::string& where,
                   std::span<const std::string_view> symbols);

}  // namespace ft
