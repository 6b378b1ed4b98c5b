// Which machine part computes. A value; there is no current device anywhere.
#pragma once

#include <string>
#include <string_view>

namespace ft {

struct Device {
  enum class Kind { ref, cpu, cuda };
  Kind kind = Kind::ref;
  int index = 0;  // which GPU; 0 elsewhere

  std::string str() const;  // "cpu", "cuda:1"
  friend bool operator==(const Device&, const Device&) = default;
};

// "ref", "cpu", "cuda" or "cuda:N". Throws Error 2010 for anything else. ("auto" is make_backend's.)
Device parse_device(std::string_view text);

}  // namespace ft
