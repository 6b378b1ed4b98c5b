// What a decoder says of one picture.
#pragma once

#include <string>

namespace ft {

struct DecodeResult {
  enum class Outcome { decoded, refused, cap_reached, no_memory } outcome = Outcome::refused;
  std::string reason;  // the decoder's words, when refused
};

}  // namespace ft
