// A position in bytes that nobody vouches for: every step is compared with the end before it is made, so that no
// count of a file leads out of it. Numbers are little-endian. Borrows the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "tensor/error.h"

namespace ft {

class ByteCursor {
 public:
  // Whatever is wrong is thrown as Error `number` at `where`.
  ByteCursor(std::span<const std::byte> bytes, int number, std::string where)
      : bytes_(bytes), number_(number), where_(std::move(where)) {}

  size_t at() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }

  // The next `count` bytes, which are consumed.
  std::span<const std::byte> take(uint64_t count) {
    if (count > left())
      fail("byte " + std::to_string(at_) + ": " + std::to_string(count) + " bytes are announced, " +
           std::to_string(left()) + " are left");
    const auto piece = bytes_.subspan(at_, static_cast<size_t>(count));
    at_ += piece.size();
    return piece;
  }
  std::string_view text(uint64_t count) {
    const auto piece = take(count);
    return {reinterpret_cast<const char*>(piece.data()), piece.size()};
  }
  // Up to the next line feed, which is consumed too and not returned.
  std::string_view line() {
    const std::string_view rest(reinterpret_cast<const char*>(bytes_.data()) + at_, left());
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) fail("a line has no end");
    at_ += end + 1;
    return rest.substr(0, end);
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  uint8_t u8() { return number<uint8_t>(); }
  uint16_t u16() { return number<uint16_t>(); }
  uint32_t u32() { return number<uint32_t>(); }
  uint64_t u64() { return number<uint64_t>(); }

  [[noreturn]] void fail(const std::string& seen,
                         const std::string& remedy = "copy or download the file again") const {
    throw Error(number_, where_, seen, remedy);
  }

 private:
  std::span<const std::byte> bytes_;
  size_t at_ = 0;
  int number_;
  std::string where_;
};

}  // namespace ft
