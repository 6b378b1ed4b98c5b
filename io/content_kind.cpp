// Table of first bytes.
#include "io/content_kind.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

namespace ft {
namespace {

using namespace std::string_view_literals;

constexpr const char* kOwn =
    "ftrun reads the weight files that it writes: give one, or leave --weights out";
constexpr const char* kUnpack = "unpack it and use the weight file inside";
constexpr const char* kOther = "give a weight file";
constexpr const char* kDownload = "download the file itself, not the page about it";

struct Magic {
  size_t offset;
  std::string_view bytes;
  ContentKind kind;
};

constexpr Magic kMagics[] = {
    {0, "ftrun-weights "sv, {"a weight file of ftrun", "use it as it is"}},
    {0,
     "version https://git-lfs"sv,
     {"a Git LFS pointer, not the file itself", "run git lfs pull"}},
    {0, "\x89HDF\r\n\x1a\n"sv, {"an HDF5 file of another program", kOwn}},
    {0, "MATLAB 7.3 MAT-file"sv, {"a MATLAB v7.3 file", kOwn}},
    {0,
     "MATLAB 5.0 MAT-file"sv,
     {"a MATLAB file older than v7.3", "save it again with -v7.3 as plain arrays"}},
    {512, "\x89HDF\r\n\x1a\n"sv, {"an HDF5 file of another program", kOwn}},
    {1024, "\x89HDF\r\n\x1a\n"sv, {"an HDF5 file of another program", kOwn}},
    {2048, "\x89HDF\r\n\x1a\n"sv, {"an HDF5 file of another program", kOwn}},
    {0, "PK\x03\x04"sv, {"a zip archive, as torch.save writes", kOwn}},
    {0, "\x80\x02"sv, {"a Python pickle, as an old torch.save writes", kOwn}},
    {8, "{\""sv, {"a safetensors file", kOwn}},
    {0, "\x1f\x8b"sv, {"a gzip archive", kUnpack}},
    {0, "BZh"sv, {"a bzip2 archive", kUnpack}},
    {0,
     "\xfd"
     "7zXZ"sv,
     {"an xz archive", kUnpack}},
    {0, "\x28\xb5\x2f\xfd"sv, {"a zstd archive", kUnpack}},
    {0, "7z\xbc\xaf"sv, {"a 7z archive", kUnpack}},
    {257, "ustar"sv, {"a tar archive", kUnpack}},
    {0, "\xff\xd8\xff"sv, {"a JPEG image", kOther}},
    {0, "\x89PNG"sv, {"a PNG image", kOther}},
    {0, "%PDF"sv, {"a PDF document", kOther}},
};

bool starts_with_tag(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n\xef\xbb\xbf");
  if (start == std::string_view::npos) return false;
  std::string head(text.substr(start, 14));
  std::ranges::transform(head, head.begin(), [](unsigned char c) { return std::tolower(c); });
  return head.starts_with("<!doctype html") || head.starts_with("<html");
}

bool is_text(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char c) { return c >= 32 || std::isspace(c); });
}

// An object or a list: a bracket with a JSON value behind it. A TOML file begins with a bracket, too: [name].
bool looks_like_json(std::string_view text) {
  const auto skip = [&](size_t from) { return text.find_first_not_of(" \t\r\n", from); };
  const size_t open = skip(0);
  if (open == std::string_view::npos || (text[open] != '{' && text[open] != '[')) return false;
  const size_t next = skip(open + 1);
  if (next == std::string_view::npos) return false;
  if (text[open] == '{') return text[next] == '"' || text[next] == '}';
  const std::string_view rest = text.substr(next);
  return std::string_view("]{[\"-0123456789").find(rest[0]) != std::string_view::npos ||
         rest.starts_with("true,") || rest.starts_with("false,") || rest.starts_with("null,");
}

}  // namespace

ContentKind content_kind(std::span<const std::byte> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min<size_t>(bytes.size(), 4096));
  if (text.empty()) return {"an empty file", "make or copy the file again"};
  for (const Magic& magic : kMagics)
    if (text.size() > magic.offset && text.substr(magic.offset).starts_with(magic.bytes))
      return magic.kind;
  if (starts_with_tag(text)) return {"an HTML page", kDownload};
  if (text.find_first_not_of('\0') == std::string_view::npos)
    return {"a file of zero bytes, probably a copy that failed", "copy it again"};
  if (is_text(text) && looks_like_json(text)) return {"a JSON text", kDownload};
  if (is_text(text)) return {"a text file", kOther};
  return {"a file of unknown kind", kOther};
}

}  // namespace ft
