// Inner loops of the resizer.
#include "io/resize_kernels.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace ft {
namespace {

constexpr int32_t kHalf = 1 << (kResizeBits - 1);

uint8_t to_byte(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kResizeBits, 0, 255));
}

void plain_row(const uint8_t* in, const ResizeTaps& taps, bool mirrored, uint8_t* out) {
  const int step = mirrored ? -3 : 3;
  uint8_t* to = mirrored ? out + 3 * (taps.count - 1) : out;
  const int32_t* w = taps.weight.data();
  for (int x = 0; x < taps.count; ++x, to += step, w += taps.stride) {
    const uint8_t* p = in + 3 * taps.start[static_cast<size_t>(x)];
    int32_t r = kHalf, g = kHalf, b = kHalf;
    for (int i = 0; i < taps.taps[static_cast<size_t>(x)]; ++i, p += 3) {
      r += w[i] * p[0];
      g += w[i] * p[1];
      b += w[i] * p[2];
    }
    to[0] = to_byte(r);
    to[1] = to_byte(g);
    to[2] = to_byte(b);
  }
}

void plain_rows(const uint8_t* const in[2], const ResizeTaps& taps, bool mirrored,
                uint8_t* const out[2]) {
  plain_row(in[0], taps, mirrored, out[0]);
  plain_row(in[1], taps, mirrored, out[1]);
}

void plain_columns(const uint8_t* in, ptrdiff_t in_stride, const ResizeTaps& taps, int y, int bytes,
                   uint8_t* out) {
  const auto entry = static_cast<size_t>(y);
  const uint8_t* first = in + taps.start[entry] * in_stride;
  const int32_t* w = &taps.weight[entry * static_cast<size_t>(taps.stride)];
  constexpr int kBlock = 64;
  for (int x = 0; x < bytes; x += kBlock) {
    const int n = std::min(kBlock, bytes - x);
    int32_t sum[kBlock];
    std::fill_n(sum, n, kHalf);
    for (int i = 0; i < taps.taps[entry]; ++i) {
      const uint8_t* row = first + i * in_stride + x;
      for (int j = 0; j < n; ++j) sum[j] += w[i] * row[j];
    }
    for (int j = 0; j < n; ++j) out[x + j] = to_byte(sum[j]);
  }
}

#if defined(__x86_64__)
#define FT_AVX2 __attribute__((target("avx2")))

// Sums of high and low weight parts become bytes in the low half of each 32-bit lane.
FT_AVX2 inline __m256i joined(__m256i high, __m256i low) {
  const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, kResizeLowBits), low);
  return _mm256_srai_epi32(_mm256_add_epi32(sum, _mm256_set1_epi32(kHalf)), kResizeBits);
}

// sum + pair * weights, where each lane holds two 16-bit pixels and `weights` two 16-bit weights.
FT_AVX2 inline __m256i multiply_add(__m256i sum, __m256i pairs, int32_t weights) {
  return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi32(weights)));
}

// One output pixel of both rows, side by side in one register as 32-bit R G B -; four inputs a
// step. The shuffles bring neighbouring pixels of a colour together as 16-bit pairs, which is what
// multiply-add wants: R0 R1 G0 G1 B0 B1 - -.
FT_AVX2 inline __m256i avx2_pixel(const uint8_t* in0, const uint8_t* in1, int taps,
                                  const int32_t* high, const int32_t* low) {
  const __m256i pixels01 = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
  const __m256i pixels23 = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
  __m256i sum_high = _mm256_setzero_si256(), sum_low = _mm256_setzero_si256();
  for (int i = 0; i < taps; i += 4, in0 += 12, in1 += 12, high += 2, low += 2) {
    const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in0));
    const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in1));
    const __m256i p = _mm256_inserti128_si256(_mm256_castsi128_si256(a), b, 1);
    const __m256i p01 = _mm256_shuffle_epi8(p, pixels01), p23 = _mm256_shuffle_epi8(p, pixels23);
    sum_high = multiply_add(sum_high, p01, high[0]);
    sum_low = multiply_add(sum_low, p01, low[0]);
    sum_high = multiply_add(sum_high, p23, high[1]);
    sum_low = multiply_add(sum_low, p23, low[1]);
  }
  return joined(sum_high, sum_low);
}

// Stores four neighbouring pixels of a row, R G B - each in 32 bits, as 12 bytes.
FT_AVX2 inline void store_pixels(uint8_t* to, __m128i pixels) {
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), pixels);
  const int32_t last = _mm_extract_epi32(pixels, 2);
  std::memcpy(to + 8, &last, 4);
}

FT_AVX2 void avx2_rows(const uint8_t* const in[2], const ResizeTaps& taps, bool mirrored,
                       uint8_t* const out[2]) {
  if (taps.count < 4) return plain_rows(in, taps, mirrored, out);
  const __m256i drop_fourth = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const ptrdiff_t pairs = taps.stride / 2;
  for (int block = 0; block < taps.count; block += 4) {
    const int first = std::min(block, taps.count - 4);  // the last four overlap
    __m256i pixel[4];
    for (int i = 0; i < 4; ++i) {
      const int x = first + (mirrored ? 3 - i : i);
      const ptrdiff_t from = 3 * ptrdiff_t{taps.start[static_cast<size_t>(x)]};
      pixel[i] = avx2_pixel(in[0] + from, in[1] + from, taps.taps[static_cast<size_t>(x)],
                            taps.high_pairs.data() + x * pairs, taps.low_pairs.data() + x * pairs);
    }
    const __m256i words01 = _mm256_packs_epi32(pixel[0], pixel[1]);
    const __m256i words23 = _mm256_packs_epi32(pixel[2], pixel[3]);
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_packus_epi16(words01, words23), drop_fourth);
    const int to = 3 * (mirrored ? taps.count - 4 - first : first);
    store_pixels(out[0] + to, _mm256_castsi256_si128(bytes));
    store_pixels(out[1] + to, _mm256_extracti128_si256(bytes, 1));
  }
}

// 16 output bytes from 16 columns.
FT_AVX2 inline __m128i avx2_column_block(const uint8_t* in, ptrdiff_t in_stride, int taps,
                                         const int32_t* high, const int32_t* low) {
  __m256i high0 = _mm256_setzero_si256(), high1 = high0, low0 = high0, low1 = high0;
  for (int i = 0; i < taps; i += 2) {
    const uint8_t* a = in + i * in_stride;
    const uint8_t* b =
        i + 1 < taps ? a + in_stride : a;  // beside a lone last row: anything, weight 0
    const __m128i va = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
    const __m128i vb = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    const __m256i pairs0 = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(va, vb));
    const __m256i pairs1 = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(va, vb));
    high0 = multiply_add(high0, pairs0, high[i / 2]);
    high1 = multiply_add(high1, pairs1, high[i / 2]);
    low0 = multiply_add(low0, pairs0, low[i / 2]);
    low1 = multiply_add(low1, pairs1, low[i / 2]);
  }
  const __m256i mixed = _mm256_packus_epi32(joined(high0, low0), joined(high1, low1));
  const __m256i words = _mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0));
  return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

FT_AVX2 void avx2_columns(const uint8_t* in, ptrdiff_t in_stride, const ResizeTaps& taps, int y,
                          int bytes, uint8_t* out) {
  const auto entry = static_cast<size_t>(y), pairs = static_cast<size_t>(taps.stride) / 2;
  const uint8_t* first = in + taps.start[entry] * in_stride;
  const int32_t* high = &taps.high_pairs[entry * pairs];
  const int32_t* low = &taps.low_pairs[entry * pairs];
  const int n = taps.taps[entry];
  if (bytes < 16) return plain_columns(in, in_stride, taps, y, bytes, out);
  for (int x = 0; x < bytes; x += 16) {
    const int at = std::min(x, bytes - 16);  // the last block overlaps instead of reading too far
    const __m128i block = avx2_column_block(first + at, in_stride, n, high, low);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + at), block);
  }
}

constexpr ResizeKernels kAvx2{avx2_rows, avx2_columns, "avx2"};
#endif

constexpr ResizeKernels kPlain{plain_rows, plain_columns, "plain"};

}  // namespace

const ResizeKernels& plain_resize_kernels() { return kPlain; }

const ResizeKernels& best_resize_kernels() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return kAvx2;
#endif
  return kPlain;
}

}  // namespace ft
