// One message in protobuf's wire format: fields one behind the other, each a number, a kind and a value. A message in
// a message is a field with its bytes. Long runs of bytes are borrowed and outlive the message. Not synchronised.
// Source: protobuf.dev, Encoding.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "io/byte_pieces.h"

namespace ft::exporting {

class ProtobufMessage {
 public:
  void number(int field, int64_t value);
  void real(int field, float value);
  void text(int field, std::string_view value);
  void borrow(int field, std::span<const std::byte> value);
  void message(int field, ProtobufMessage value);

  size_t size() const { return pieces_.size(); }
  BytePieces take() { return std::move(pieces_); }

 private:
  void head(int field, int kind);

  BytePieces pieces_;
};

}  // namespace ft::exporting
