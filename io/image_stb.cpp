// stb_image, compiled once, with our memory and without everything that we do not read.
#include "io/image_stb.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <new>

// g++ says it one way, clang++ the other.
#if defined(__SANITIZE_ADDRESS__)
#define FT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FT_ASAN 1
#endif
#endif
#if defined(FT_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace ft {
namespace {

// With AddressSanitizer every block has a forbidden gap behind it, and released memory is
// forbidden, as if each block came from malloc.
#if defined(FT_ASAN)
constexpr size_t kGap = 32;
void forbid(const void* memory, size_t bytes) { __asan_poison_memory_region(memory, bytes); }
void allow(const void* memory, size_t bytes) { __asan_unpoison_memory_region(memory, bytes); }
#else
constexpr size_t kGap = 0;
void forbid(const void*, size_t) {}
void allow(const void*, size_t) {}
#endif

}  // namespace

void DecoderMemory::start(int64_t cap_bytes) {
  size_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.size;
  if (chunks_.size() > 1 || total > kKeptBytes) {
    chunks_.clear();
    if (total <= kKeptBytes) add_chunk(total);  // one piece for all of what the last pictures took
  }
  if (!chunks_.empty()) forbid(chunks_.back().bytes.get(), chunks_.back().size);
  used_ = 0;
  last_ = nullptr;
  left_ = cap_bytes;
  cap_reached_ = exhausted_ = false;
}

bool DecoderMemory::add_chunk(size_t bytes) {
  auto* memory = new (std::nothrow) uint8_t[bytes];
  if (memory == nullptr) return false;
  forbid(memory, bytes);
  chunks_.push_back({std::unique_ptr<uint8_t[]>(memory), bytes});
  used_ = 0;
  return true;
}

void* DecoderMemory::allocate(size_t bytes) {
  constexpr size_t kAlign = 16, kSmallestChunk = size_t{1} << 20;
  if (bytes > static_cast<size_t>(left_)) {
    cap_reached_ = true;
    return nullptr;
  }
  const size_t rounded = (bytes + kAlign - 1) / kAlign * kAlign + kGap;
  const size_t room = chunks_.empty() ? 0 : chunks_.back().size - used_;
  if (rounded > room && !add_chunk(std::max(rounded, kSmallestChunk))) {
    exhausted_ = true;
    return nullptr;
  }
  last_ = chunks_.back().bytes.get() + used_;
  used_ += rounded;
  left_ = std::max<int64_t>(left_ - static_cast<int64_t>(rounded), 0);
  allow(last_, bytes);
  std::memset(last_, 0, bytes);
  return last_;
}

void* DecoderMemory::reallocate(void* old, size_t old_bytes, size_t bytes) {
  void* grown = allocate(bytes);
  if (grown != nullptr && old != nullptr) std::memcpy(grown, old, std::min(old_bytes, bytes));
  return grown;
}

void DecoderMemory::release(void* block) {
  if (block == nullptr || block != last_) return;
  const size_t at = static_cast<size_t>(last_ - chunks_.back().bytes.get());
  left_ += static_cast<int64_t>(used_ - at);
  forbid(last_, used_ - at);
  used_ = at;
  last_ = nullptr;
}

namespace {

// What an assertion of the decoder becomes: a refusal of the file, not the end of the process.
struct DecoderAssertion {
  const char* text;
};

// The memory of the decoding that runs on this thread.
thread_local DecoderMemory* current_memory = nullptr;

}  // namespace
}  // namespace ft

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 32768
#define STBI_ASSERT(x) ((x) ? void() : throw ft::DecoderAssertion{#x})
#define STBI_MALLOC(n) ft::current_memory->allocate(n)
#define STBI_REALLOC_SIZED(p, old, n) ft::current_memory->reallocate(p, old, n)
#define STBI_FREE(p) ft::current_memory->release(p)
#include <stb_image.h>

namespace ft {

DecodeResult decode_with_stb(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                             DecoderMemory& memory, std::vector<uint8_t>& rgb) {
  using Outcome = DecodeResult::Outcome;
  memory.start(cap_bytes);
  current_memory = &memory;
  stbi__g_failure_reason = nullptr;  // thread-local; the decoder does not set it on every path
  int w = 0, h = 0, channels = 0;
  const stbi_uc* pixels = nullptr;
  try {
    pixels =
        stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &w, &h, &channels, 3);
  } catch (const DecoderAssertion& assertion) {
    return {Outcome::refused, fmt::format("assertion {}", assertion.text)};
  }
  if (pixels == nullptr) {
    if (memory.exhausted()) return {Outcome::no_memory, {}};
    if (memory.cap_reached()) return {Outcome::cap_reached, {}};
    const char* reason = stbi_failure_reason();
    return {Outcome::refused, reason == nullptr ? "no reason given" : reason};
  }
  if (w != width || h != height) {
    return {Outcome::refused,
            fmt::format("decoded {} x {} instead of {} x {}", w, h, width, height)};
  }
  rgb.assign(pixels, pixels + static_cast<size_t>(w) * static_cast<size_t>(h) * 3);
  return {Outcome::decoded, {}};
}

}  // namespace ft
