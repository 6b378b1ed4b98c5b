// Collecting pieces.
#include "io/byte_pieces.h"

#include <cstring>
#include <iterator>
#include <utility>

namespace ft {

void BytePieces::add(std::string text) {
  size_ += text.size();
  const bool appends = !pieces_.empty() && pieces_.back().borrowed.empty();
  if (appends)
    pieces_.back().text += text;
  else
    pieces_.push_back({std::move(text), {}});
}

void BytePieces::borrow(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  pieces_.push_back({{}, bytes});
}

void BytePieces::add(BytePieces pieces) {
  size_ += pieces.size_;
  std::ranges::move(pieces.pieces_, std::back_inserter(pieces_));
}

FileBytes BytePieces::join() const {
  FileBytes file(size_);
  std::byte* at = file.data();
  for (const Piece& piece : pieces_) {
    const auto bytes =
        piece.borrowed.empty() ? std::as_bytes(std::span(piece.text)) : piece.borrowed;
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
  }
  return file;
}

}  // namespace ft
