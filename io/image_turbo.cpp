// The one door to libjpeg-turbo. Its errors leave by longjmp, so decode() owns nothing that has a destructor.
#include "io/image_turbo.h"

#include "tensor/error.h"

#if defined(FT_TURBO)

#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>  // needs <cstdio>

#include <jerror.h>

namespace ft {
namespace {

struct Failure {
  jpeg_error_mgr manager;  // first: the library hands back its address
  std::jmp_buf leave;
  int code;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void give_up(j_common_ptr codec) {
  auto* failure = reinterpret_cast<Failure*>(codec->err);
  failure->code = codec->err->msg_code;
  codec->err->format_message(codec, failure->text);
  std::longjmp(failure->leave, 1);
}

// Level -1 is damage that the library could repair by guessing: a guessed picture is refused.
void on_message(j_common_ptr codec, int level) {
  if (level < 0) give_up(codec);
}

// Names of the components as some writers of plain RGB give them; a JFIF marker does not change that.
bool named_rgb(const jpeg_decompress_struct& d) {
  return d.num_components == 3 && d.comp_info[0].component_id == 'R' &&
         d.comp_info[1].component_id == 'G' && d.comp_info[2].component_id == 'B';
}

// Fills rgb, which has room for width x height; false if the sides are others. Errors leave by longjmp.
bool decode(jpeg_decompress_struct& d, ByteSpan bytes, int width, int height, int64_t cap_bytes,
            uint8_t* rgb) {
  jpeg_create_decompress(&d);
  d.mem->max_memory_to_use = static_cast<long>(cap_bytes);
  jpeg_mem_src(&d, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&d, TRUE);
  if (static_cast<int>(d.image_width) != width || static_cast<int>(d.image_height) != height)
    return false;
  if (named_rgb(d)) d.jpeg_color_space = JCS_RGB;
  d.out_color_space = JCS_RGB;
  d.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&d);
  const size_t row_bytes = static_cast<size_t>(width) * 3;
  while (d.output_scanline < d.output_height) {
    JSAMPROW rows[8];
    for (size_t i = 0; i < 8; ++i)
      rows[i] = rgb + std::min<size_t>(d.output_scanline + i, d.output_height - 1) * row_bytes;
    const JDIMENSION left = d.output_height - d.output_scanline;
    jpeg_read_scanlines(&d, rows, std::min<JDIMENSION>(8, left));
  }
  jpeg_finish_decompress(&d);
  return true;
}

DecodeResult explain(const Failure& failure) {
  using Outcome = DecodeResult::Outcome;
  switch (failure.code) {
    case JERR_OUT_OF_MEMORY:
      return {Outcome::no_memory, {}};
    case JERR_NO_BACKING_STORE:  // a progressive picture's coefficients beyond the cap
    case JERR_TFILE_CREATE:
      return {Outcome::cap_reached, {}};
    default:
      return {Outcome::refused, failure.text};
  }
}

}  // namespace

#define FT_TEXT(x) #x
#define FT_VERSION(x) FT_TEXT(x)
const char* turbo_version() { return "libjpeg-turbo " FT_VERSION(LIBJPEG_TURBO_VERSION); }

DecodeResult decode_with_turbo(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                               std::vector<uint8_t>& rgb) {
  rgb.resize(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  jpeg_decompress_struct codec{};
  Failure failure{};
  codec.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = give_up;
  failure.manager.emit_message = on_message;
  if (setjmp(failure.leave) != 0) {
    jpeg_destroy_decompress(&codec);
    return explain(failure);
  }
  const bool same = decode(codec, bytes, width, height, cap_bytes, rgb.data());
  const auto seen_width = codec.image_width, seen_height = codec.image_height;
  jpeg_destroy_decompress(&codec);
  if (same) return {DecodeResult::Outcome::decoded, {}};
  return {DecodeResult::Outcome::refused, fmt::format("decoded {} x {} instead of {} x {}",
                                                      seen_width, seen_height, width, height)};
}

}  // namespace ft

#else

namespace ft {

const char* turbo_version() { return ""; }

DecodeResult decode_with_turbo(ByteSpan, int, int, int64_t, std::vector<uint8_t>&) {
  FT_CHECK(false, "this build has no libjpeg-turbo");
}

}  // namespace ft

#endif
