// ftrun export: a weight file of ours becomes one that other programs read.
#include <fmt/format.h>

#include "apps/export/export_file.h"
#include "apps/ftrun/commands.h"
#include "apps/ftrun/network.h"
#include "apps/ftrun/progress.h"
#include "io/atomic_file.h"

namespace ft::app {
namespace {

using exporting::Format;

Format choose_format(const ExportOptions& o) {
  const std::optional<Format> format =
      o.format.empty() ? exporting::format_of(o.out) : exporting::format_of_name(o.format);
  if (!format)
    throw Error(2002, "--format", fmt::format("the name {} does not tell the format", o.out),
                "end it with .pth, .safetensors or .onnx, or say --format");
  return *format;
}

// How the file is used, or what to beware of.
std::string advice(const Model& model, Format format, const std::string& out) {
  if (format == Format::onnx)
    return fmt::format(
        "input {{N,3,{},{}}}, pixels after step 3 of the input recipe; logits {{N,{}}}",
        model.height, model.width, model.classes);
  const std::string torchvision = exporting::torchvision_name(model.name);
  if (torchvision.empty())
    return fmt::format("for {} as ftrun builds it: torchvision's networks compute something else",
                       model.name);
  return fmt::format("torchvision.models.{}(num_classes={}).load_state_dict({}(\"{}\"))",
                     torchvision, model.classes,
                     format == Format::torch ? "torch.load" : "safetensors.torch.load_file", out);
}

}  // namespace

int run_export(const ExportOptions& o) {
  const Format format = choose_format(o);
  check_writable(o.out);
  const WeightFile weights = load_weights(o.file);
  const Model model = model_of(weights);
  const FileBytes bytes = exporting::export_file(model, weights, format, o.out).join();
  write_atomically(o.out, bytes.bytes());
  fmt::print("model       {} ({})\n", model.name, find_model(model.name).variant);
  fmt::print("input       {}\n", describe(weights.recipe));
  fmt::print("classes     {}\n", model.classes);
  fmt::print("wrote       {}: {}, {}\n", escape(o.out), exporting::describe(format),
             bytes_text(static_cast<double>(bytes.size())));
  fmt::print("use         {}\n", escape(advice(model, format, o.out)));
  return 0;
}

}  // namespace ft::app
