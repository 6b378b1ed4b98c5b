// Refusing an image: limits, wording and remedies.
#include "io/image_check.h"

#include <fmt/format.h>

#include "tensor/error.h"

namespace ft {
namespace {

const char* remedy(ImageFault fault) {
  switch (fault) {
    case ImageFault::other_format:
    case ImageFault::unsupported_kind:
      return "convert it to an ordinary JPEG or PNG, or run with --bad-images=skip";
    case ImageFault::too_large:
      return "scale the picture down or remove it, or run with --bad-images=skip";
    case ImageFault::no_memory:
      return "free memory or use fewer loader threads, then run the same command again";
    default:
      return "remove or replace the file, or run with --bad-images=skip";
  }
}

}  // namespace

void refuse_image(ImageFault fault, std::string_view name, const std::string& seen) {
  throw Error(static_cast<int>(fault), std::string(name), seen, remedy(fault));
}

std::string grouped(int64_t number) {
  std::string digits = std::to_string(number);
  const int64_t first = number < 0 ? 1 : 0;
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > first; at -= 3) {
    digits.insert(static_cast<size_t>(at), 1, ',');
  }
  return digits;
}

void check_sides(int64_t width, int64_t height, const ImageLimits& limits, std::string_view name) {
  const std::string sides = fmt::format("the header says {} x {} pixels", width, height);
  if (width <= 0 || height <= 0) {
    refuse_image(ImageFault::zero_side, name, sides + ", expected at least 1 x 1");
  }
  if (width > limits.max_side || height > limits.max_side) {
    refuse_image(ImageFault::too_large, name,
                 fmt::format("{}, no side may exceed {}", sides, grouped(limits.max_side)));
  }
  if (width * height > limits.max_pixels) {
    refuse_image(ImageFault::too_large, name,
                 fmt::format("{}, which is {} of at most {} pixels", sides, grouped(width * height),
                             grouped(limits.max_pixels)));
  }
}

}  // namespace ft
