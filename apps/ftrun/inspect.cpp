// ftrun inspect: what a weight file holds and how its images are prepared.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/network.h"
#include "apps/ftrun/progress.h"

namespace ft::app {

int run_inspect(const std::string& path, bool tensors) {
  const WeightFile file = load_weights(path);
  int64_t elements = 0;
  for (const NamedTensor& t : file.tensors) elements += static_cast<int64_t>(t.data.size());
  fmt::print("model       {} ({})\n", escape(file.model), escape(file.variant));
  fmt::print("input       {}\n", describe(file.recipe));
  std::string classes;
  for (size_t i = 0; i < file.classes.size() && i < 20; ++i)
    classes += (i ? ", " : "") + escape(file.classes[i]);
  fmt::print("classes     {}: {}{}\n", file.classes.size(), classes,
             file.classes.size() > 20 ? ", …" : "");
  fmt::print("tensors     {}, {} numbers, {}\n", file.tensors.size(), elements,
             bytes_text(4.0 * static_cast<double>(elements)));
  fmt::print("sha-256     {}\n", file.sha256);
  fmt::print("self-test   {}\n",
             file.golden ? fmt::format("a golden picture, seen at {0}x{0}", file.golden->side)
                         : "none: the file holds no golden picture");
  for (const auto& [key, value] : file.notes)
    fmt::print("note        {}: {}\n", escape(key), escape(value));
  for (const std::string& warning : weight_warnings(file)) fmt::print("warning     {}\n", warning);
  for (const NamedTensor& t : file.tensors)
    if (tensors) fmt::print("  {:<40} {{{}}}\n", escape(t.name), fmt::join(t.shape, ","));
  return 0;
}

}  // namespace ft::app
