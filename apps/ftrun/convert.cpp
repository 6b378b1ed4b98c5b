// ftrun convert: somebody else's weight file becomes one of ours.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include "apps/convert/conversion.h"
#include "apps/ftrun/commands.h"
#include "apps/ftrun/network.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/self_test.h"
#include "io/atomic_file.h"
#include "io/file_bytes.h"
#include "io/sha256.h"
#include "io/source_file.h"

namespace ft::app {
namespace {

namespace fs = std::filesystem;
using convert::Conversion;
using convert::Row;
using convert::Step;

constexpr size_t kNamesShown = 3;

// What the file says about itself, before its bytes are let go.
struct Source {
  std::string name, what, sha256;
  size_t tensors = 0, bytes = 0;
};

// What the file is called where it comes from.
std::string name_of(const ConvertOptions& o) {
  return o.name.empty() ? fs::path(o.in).filename().string() : o.name;
}

// A name that torchvision publishes, or a user, promises a hash: nothing is parsed unless it is right.
std::string promised_digits(const ConvertOptions& o) {
  const convert::Published* published = convert::published_under(name_of(o));
  return !o.digits.empty() || published == nullptr ? o.digits : std::string(published->digits);
}

void check_hash(const ConvertOptions& o, const std::string& sha256, const std::string& digits) {
  if (sha256.starts_with(digits)) return;
  throw Error(2352, o.in,
              fmt::format("its SHA-256 is {}, that of the published {} begins with {}", sha256,
                          name_of(o), digits),
              "download it again, or give it another name if it is another file");
}

// Names that say something else than the content does.
std::string name_note(const fs::path& path, SourceFormat format) {
  static const std::pair<const char*, SourceFormat> kEndings[] = {
      {".pth", SourceFormat::torch},
      {".pt", SourceFormat::torch},
      {".safetensors", SourceFormat::safetensors},
      {".h5", SourceFormat::keras},
      {".hdf5", SourceFormat::keras},
      {".mat", SourceFormat::matlab},
      {".caffemodel", SourceFormat::caffe},
  };
  for (const auto& [ending, expected] : kEndings)
    if (path.extension() == ending && expected != format)
      return fmt::format("its name ends with {}, but the content decides", ending);
  return {};
}

std::string some_of(const std::vector<std::string>& names) {
  const size_t shown = std::min(names.size(), kNamesShown);
  std::string text = fmt::format(
      "{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
  if (names.size() > shown) text += ", …";
  return escape(text);
}

const char* meaning(Step step) {
  switch (step) {
    case Step::loaded:
      return "loaded";
    case Step::reshaped:
      return "reshaped";
    case Step::folded:
      return "folded";
    case Step::fresh:
      break;
  }
  return "new";
}

void print_rows(const Conversion& c, bool every) {
  for (Step step : {Step::loaded, Step::reshaped, Step::folded, Step::fresh}) {
    std::vector<std::string> names;
    for (const Row& row : c.rows)
      if (row.step == step) names.push_back(row.name);
    fmt::print("{:<11} {:>4}  {}\n", meaning(step), names.size(), some_of(names));
  }
  fmt::print("{:<11} {:>4}  {}\n", "skipped", c.skipped.size(), some_of(c.skipped));
  for (size_t i = 0; every && i < c.rows.size(); ++i)
    fmt::print("  {:<34} {{{}}} {} {}\n", c.rows[i].name, fmt::join(c.tensors[i].shape, ","),
               meaning(c.rows[i].step), escape(c.rows[i].source));
  for (size_t i = 0; every && i < c.skipped.size(); ++i)
    fmt::print("  {:<34} skipped\n", escape(c.skipped[i]));
}

void print_head(const Source& source, const Conversion& c, const std::string& note) {
  fmt::print("source      {}: {}, {} tensors, {}\n", escape(source.name), source.what,
             source.tensors, bytes_text(static_cast<double>(source.bytes)));
  fmt::print("sha-256     {}\n", source.sha256);
  fmt::print("model       {} ({})\n", c.model, find_model(c.model).variant);
  fmt::print("known by    {}\n", c.known_by);
  fmt::print("input       {}\n", describe(c.recipe));
  fmt::print("classes     {}\n", c.classes);
  if (!c.prefix.empty()) fmt::print("names       without their prefix {}\n", escape(c.prefix));
  if (!c.epsilon.empty()) fmt::print("epsilon     {}\n", c.epsilon);
  if (!note.empty()) fmt::print("note        {}\n", note);
}

Conversion read(const ConvertOptions& o, Source* source, std::string* note) {
  FileBytes file;  // outlives the thread that hashes it
  HashThread hash;
  FileReadOptions options;
  options.first_error = 2300;
  options.what = "weight file";
  options.on_piece = [&](std::span<const std::byte> piece) { hash.push(piece); };
  const fs::path path = o.in;
  read_file_bytes(path, options, &file);
  const std::string digits = promised_digits(o);
  const bool promised = !digits.empty();
  if (promised) check_hash(o, source->sha256 = hash.hex(), digits);
  const SourceFile opened = open_source(file.bytes(), path.string());
  if (!promised) source->sha256 = hash.hex();
  source->name = name_of(o);
  source->what = opened.what;
  source->tensors = opened.tensors.size();
  source->bytes = file.size();
  *note = name_note(source->name, opened.format);
  return convert::convert(opened, {path.string(), source->sha256, o.model, o.seed});
}

WeightFile weight_file(Conversion& c, const Source& source, const std::string& path) {
  WeightFile file;
  file.model = c.model;
  file.variant = find_model(c.model).variant;
  file.recipe = c.recipe;
  file.classes = c.class_names;
  file.tensors = std::move(c.tensors);
  file.path = path;
  file.notes = {{"source", source.name},
                {"source-kind", source.what},
                {"source-sha256", source.sha256},
                {"model-known-by", c.known_by},
                {"converted-by", "ftrun " FT_VERSION}};
  if (!c.epsilon.empty()) file.notes["epsilon"] = c.epsilon;
  return file;
}

// Computed on the CPU, where every machine can.
std::string add_golden_answer(WeightFile& file) {
  try {
    const auto backend = make_backend({Device::Kind::cpu, 0}, {});
    return add_golden(file, *backend, backend->make_stream()->ref());
  } catch (const Error& e) {
    return e.seen();
  }
}

void print_warnings(const std::vector<std::string>& warnings) {
  const size_t shown = std::min(warnings.size(), kNamesShown);
  for (size_t i = 0; i < shown; ++i) fmt::print("warning     {}\n", escape(warnings[i]));
  if (warnings.size() > shown) fmt::print("warning     and {} more\n", warnings.size() - shown);
}

}  // namespace

int run_convert(const ConvertOptions& o) {
  check_writable(o.out);
  Source source;
  std::string note;
  Conversion c = read(o, &source, &note);
  print_head(source, c, note);
  print_rows(c, o.tensors);
  WeightFile file = weight_file(c, source, o.in);
  print_warnings(weight_warnings(file));
  const std::string why = add_golden_answer(file);
  if (!why.empty()) fmt::print("note        the file has no self-test: {}\n", why);
  save_weights(o.out, file);
  fmt::print("wrote       {}\n", escape(o.out));
  return 0;
}

}  // namespace ft::app
