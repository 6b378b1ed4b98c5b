// stb_image, compiled once, with our memory and without everything that we do not read.
#include "io/image_stb.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace ft {
namespace {

// Memory of one decoding on this thread. All blocks hang in a ring, so that they are freed even if
// the decoder is left by an exception from its assertions.
class DecoderMemory {
 public:
  explicit DecoderMemory(int64_t cap_bytes) : left_(cap_bytes), outer_(current_) {
    ring_.next = ring_.previous = &ring_;
    current_ = this;
  }
  ~DecoderMemory() {
    while (ring_.next != &ring_) release(ring_.next + 1);
    current_ = outer_;
  }
  DecoderMemory(const DecoderMemory&) = delete;
  DecoderMemory& operator=(const DecoderMemory&) = delete;

  static DecoderMemory& current() { return *current_; }
  bool cap_reached() const { return cap_reached_; }
  bool no_memory() const { return no_memory_; }

  void* allocate(size_t bytes) {
    if (bytes > static_cast<size_t>(left_)) {
      cap_reached_ = true;
      return nullptr;
    }
    auto* block = static_cast<Block*>(std::calloc(1, sizeof(Block) + bytes));
    if (block == nullptr) {
      no_memory_ = true;
      return nullptr;
    }
    left_ -= static_cast<int64_t>(bytes);
    block->bytes = bytes;
    block->next = ring_.next;
    block->previous = &ring_;
    ring_.next->previous = block;
    ring_.next = block;
    return block + 1;
  }

  void* reallocate(void* old, size_t old_bytes, size_t bytes) {
    void* grown = allocate(bytes);
    if (grown != nullptr && old != nullptr) {
      std::memcpy(grown, old, std::min(old_bytes, bytes));
      release(old);
    }
    return grown;
  }

  void release(void* memory) {
    if (memory == nullptr) return;
    Block* block = static_cast<Block*>(memory) - 1;
    block->next->previous = block->previous;
    block->previous->next = block->next;
    left_ += static_cast<int64_t>(block->bytes);
    std::free(block);
  }

 private:
  struct alignas(16) Block {
    Block *next = nullptr, *previous = nullptr;
    size_t bytes = 0;
  };
  Block ring_;
  int64_t left_;
  bool cap_reached_ = false, no_memory_ = false;
  DecoderMemory* outer_;
  static thread_local DecoderMemory* current_;
};

thread_local DecoderMemory* DecoderMemory::current_ = nullptr;

// What an assertion of the decoder becomes: a refusal of the file, not the end of the process.
struct DecoderAssertion {
  const char* text;
};

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
#define STBI_MALLOC(n) ft::DecoderMemory::current().allocate(n)
#define STBI_REALLOC_SIZED(p, old, n) ft::DecoderMemory::current().reallocate(p, old, n)
#define STBI_FREE(p) ft::DecoderMemory::current().release(p)
#include <stb_image.h>

namespace ft {

StbResult decode_with_stb(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                          std::vector<uint8_t>& rgb) {
  using Outcome = StbResult::Outcome;
  DecoderMemory memory(cap_bytes);
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
    if (memory.no_memory()) return {Outcome::no_memory, {}};
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
