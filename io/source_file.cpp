// Which reader a file needs.
#include "io/source_file.h"

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

#include "io/caffe_file.h"
#include "io/content_kind.h"
#include "io/keras_file.h"
#include "io/mat_file.h"
#include "io/safetensors_file.h"
#include "io/torch_file.h"
#include "tensor/error.h"

namespace ft {
namespace {

using namespace std::string_view_literals;

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A pickle of protocol 2 or newer.
bool is_pickle(std::string_view text) {
  return text.size() > 1 && text[0] == '\x80' && text[1] >= 2 && text[1] <= 5;
}

// HDF5 begins at byte 0, 512, 1024, 2048, ...; in front of it a user may put what they like.
bool is_hdf5(std::string_view text) {
  for (size_t at = 0; at < text.size(); at = at == 0 ? 512 : at * 2)
    if (text.substr(at).starts_with("\x89HDF\r\n\x1a\n"sv)) return true;
  return false;
}

// The ending helps where the content does not speak: a safetensors file begins with a number.
bool is_safetensors(std::string_view text, const std::string& path) {
  return (text.size() > 8 && text[8] == '{') ||
         std::filesystem::path(path).extension() == ".safetensors";
}

// Messages of protobuf have no signature either: the name of the network, or a layer, comes first.
bool is_caffe(std::string_view text, const std::string& path) {
  return std::filesystem::path(path).extension() == ".caffemodel" &&
         (text.starts_with("\x0a"sv) || text.starts_with("\x12"sv) ||
          text.starts_with("\xa2\x06"sv));
}

}  // namespace

SourceFile open_source(std::span<const std::byte> bytes, const std::string& path) {
  const std::string_view text = text_of(bytes);
  if (text.starts_with("PK\x03\x04"sv)) return open_torch_zip(bytes, path);
  if (is_pickle(text)) return open_torch_stream(bytes, path);
  if (is_hdf5(text) && text.starts_with("MATLAB 7.3"sv)) return open_mat(bytes, path);
  if (is_hdf5(text) && !text.starts_with("ftrun-weights "sv)) return open_keras(bytes, path);
  if (is_safetensors(text, path)) return open_safetensors(bytes, path);
  if (is_caffe(text, path)) return open_caffe(bytes, path);
  const ContentKind kind = content_kind(bytes);
  throw Error(2351, path, fmt::format("this is {}, not weights that can be converted", kind.what),
              text.starts_with("ftrun-weights "sv) ? "use it as it is: ftrun predict --weights FILE"
                                                   : kind.remedy);
}

}  // namespace ft
