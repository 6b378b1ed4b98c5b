// The content of a file to be, as a row of pieces: short texts that it owns, and long runs of bytes that it borrows. A
// format writes its heads around the numbers of a network, and those are copied once, into the file. Not synchronised.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "io/file_bytes.h"

namespace ft {

class BytePieces {
 public:
  void add(std::string text);
  // `bytes` outlives this and whatever it is added to.
  void borrow(std::span<const std::byte> bytes);
  void add(BytePieces pieces);

  size_t size() const { return size_; }
  // All of them, one behind the other.
  FileBytes join() const;

 private:
  struct Piece {
    std::string text;
    std::span<const std::byte> borrowed;  // where `text` is empty
  };
  std::vector<Piece> pieces_;
  size_t size_ = 0;
};

}  // namespace ft
