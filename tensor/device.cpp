// Device names.
#include "tensor/device.h"

#include <fmt/format.h>

#include <charconv>

#include "tensor/error.h"

namespace ft {

std::string Device::str() const {
  switch (kind) {
    case Kind::ref:
      return "ref";
    case Kind::cpu:
      return "cpu";
    case Kind::cuda:
      return fmt::format("cuda:{}", index);
  }
  FT_CHECK(false, "unknown device kind");
}

Device parse_device(std::string_view text) {
  if (text == "ref") return {Device::Kind::ref, 0};
  if (text == "cpu") return {Device::Kind::cpu, 0};
  if (text == "cuda") return {Device::Kind::cuda, 0};
  if (text.starts_with("cuda:")) {
    int index = -1;
    const char* end = text.data() + text.size();
    const auto [stop, fault] = std::from_chars(text.data() + 5, end, index);
    if (fault == std::errc{} && stop == end && index >= 0) return {Device::Kind::cuda, index};
  }
  throw Error(2010, "--device", fmt::format("\"{}\" is not a device", text),
              "use auto, cpu, cuda, cuda:N or ref");
}

}  // namespace ft
