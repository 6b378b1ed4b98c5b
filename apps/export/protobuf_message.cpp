// Fields as bytes.
#include "apps/export/protobuf_message.h"

#include <bit>
#include <string>
#include <utility>

namespace ft::exporting {
namespace {

constexpr int kVarint = 0, kBytes = 2, kFourBytes = 5;

// Seven bits a byte, the lowest first; the top bit says that more follow.
std::string varint(uint64_t value) {
  std::string bytes;
  for (; value > 0x7f; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

}  // namespace

void ProtobufMessage::head(int field, int kind) {
  pieces_.add(varint(static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(kind)));
}

void ProtobufMessage::number(int field, int64_t value) {
  head(field, kVarint);
  pieces_.add(varint(static_cast<uint64_t>(value)));
}

void ProtobufMessage::real(int field, float value) {
  head(field, kFourBytes);
  auto bits = std::bit_cast<uint32_t>(value);
  std::string bytes;
  for (int i = 0; i < 4; ++i, bits >>= 8) bytes += static_cast<char>(bits);
  pieces_.add(std::move(bytes));
}

void ProtobufMessage::text(int field, std::string_view value) {
  head(field, kBytes);
  pieces_.add(varint(value.size()));
  pieces_.add(std::string(value));
}

void ProtobufMessage::borrow(int field, std::span<const std::byte> value) {
  head(field, kBytes);
  pieces_.add(varint(value.size()));
  pieces_.borrow(value);
}

void ProtobufMessage::message(int field, ProtobufMessage value) {
  head(field, kBytes);
  pieces_.add(varint(value.size()));
  pieces_.add(std::move(value.pieces_));
}

}  // namespace ft::exporting
