// File kinds by their first bytes.
#include "io/image_sniff.h"

#include <algorithm>
#include <cctype>
#include <string>

namespace ft {
namespace {

using namespace std::string_view_literals;

std::string_view text_of(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 1024)};
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

// ISO media files name their brand, and further compatible ones, in the leading "ftyp" box.
FileKind sniff_iso_media(std::string_view head, size_t file_bytes) {
  const auto* b = reinterpret_cast<const uint8_t*>(head.data());
  const size_t box = std::min<size_t>({be32({b, 4}, 0), head.size(), file_bytes});
  bool heic = false;
  for (size_t at = 8; at + 4 <= box; at += 4) {
    const std::string_view brand = head.substr(at, 4);
    if (brand == "avif" || brand == "avis") return FileKind::avif;
    heic |=
        brand.starts_with("hei") || brand.starts_with("hev") || brand == "mif1" || brand == "msf1";
  }
  return heic ? FileKind::heic : FileKind::unknown;
}

FileKind sniff_text(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  if (head.starts_with("version https://git-lfs.github.com/spec/")) return FileKind::git_lfs;
  const size_t start = head.find_first_not_of(" \t\r\n");
  if (start == head.npos || head[start] != '<') return FileKind::unknown;
  const std::string text = lower(head.substr(start));
  for (const auto tag : {"<!doctype html"sv, "<html"sv, "<head"sv, "<body"sv}) {
    if (text.starts_with(tag)) return FileKind::html;
  }
  const bool xml = text.starts_with("<?xml") || text.starts_with("<!--") ||
                   text.starts_with("<!doctype svg") || text.starts_with("<svg");
  if (xml && text.find("<svg") != text.npos) return FileKind::svg;
  return xml && text.find("<html") != text.npos ? FileKind::html : FileKind::unknown;
}

struct Magic {
  std::string_view bytes;
  FileKind kind;
};

constexpr Magic kMagics[] = {
    {"\xFF\xD8"sv, FileKind::jpeg},
    {"\x89PNG"sv, FileKind::png},
    {"BM"sv, FileKind::bmp},
    {"GIF8"sv, FileKind::gif},
    {"II*\0"sv, FileKind::tiff},
    {"MM\0*"sv, FileKind::tiff},
    {"II+\0"sv, FileKind::tiff},
    {"MM\0+"sv, FileKind::tiff},
    {"8BPS"sv, FileKind::psd},
    {"%PDF-"sv, FileKind::pdf},
    {"PK\x03\x04"sv, FileKind::zip},
    {"\xFF\x0A"sv, FileKind::jpeg_xl},
    {"\0\0\0\x0CJXL "sv, FileKind::jpeg_xl},
    {"\0\0\0\x0CjP  "sv, FileKind::jpeg2000},
    {"\xFF\x4F\xFF\x51"sv, FileKind::jpeg2000},
};

}  // namespace

FileKind sniff(ByteSpan bytes) {
  if (bytes.empty()) return FileKind::empty;
  const std::string_view head = text_of(bytes);
  for (const Magic& magic : kMagics) {
    if (head.starts_with(magic.bytes)) return magic.kind;
  }
  if (head.size() >= 12) {
    if (head.starts_with("RIFF") && head.substr(8, 4) == "WEBP") return FileKind::webp;
    if (head.substr(4, 4) == "ftyp") return sniff_iso_media(head, bytes.size());
  }
  return sniff_text(head);
}

std::string_view describe(FileKind kind) {
  switch (kind) {
    case FileKind::empty:
      return "an empty file";
    case FileKind::jpeg:
      return "a JPEG image";
    case FileKind::png:
      return "a PNG image";
    case FileKind::bmp:
      return "a BMP image";
    case FileKind::gif:
      return "a GIF image";
    case FileKind::webp:
      return "a WebP image";
    case FileKind::tiff:
      return "a TIFF image";
    case FileKind::heic:
      return "a HEIC image";
    case FileKind::avif:
      return "an AVIF image";
    case FileKind::jpeg2000:
      return "a JPEG 2000 image";
    case FileKind::jpeg_xl:
      return "a JPEG XL image";
    case FileKind::svg:
      return "an SVG drawing";
    case FileKind::psd:
      return "a Photoshop document";
    case FileKind::html:
      return "an HTML page";
    case FileKind::git_lfs:
      return "a Git LFS pointer, not the picture itself (run: git lfs pull)";
    case FileKind::pdf:
      return "a PDF document";
    case FileKind::zip:
      return "a ZIP archive";
    case FileKind::unknown:
      break;
  }
  return "of no known kind";
}

bool is_decodable(FileKind kind) {
  return kind == FileKind::jpeg || kind == FileKind::png || kind == FileKind::bmp;
}

bool is_picture(FileKind kind) { return kind >= FileKind::jpeg && kind <= FileKind::psd; }

bool extension_fits(const std::filesystem::path& path, FileKind kind) {
  const std::string ext = lower(path.extension().string());
  const auto one_of = [&](std::initializer_list<std::string_view> names) {
    return std::ranges::find(names, ext) != names.end();
  };
  if (one_of({".jpg", ".jpeg", ".jpe", ".jfif"})) return kind == FileKind::jpeg;
  if (one_of({".png"})) return kind == FileKind::png;
  if (one_of({".bmp", ".dib"})) return kind == FileKind::bmp;
  if (one_of({".gif", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".svg"})) {
    return !is_decodable(kind);
  }
  return true;
}

}  // namespace ft
