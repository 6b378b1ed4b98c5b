// The one door to stb_image: JPEG, PNG and BMP bytes that our walks have checked become RGB.
// Every block of memory that the decoder asks for is zero-filled and counted against a cap, so its
// output is a function of the file alone.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "io/decode_result.h"
#include "io/image_bytes.h"

namespace ft {

// Where the decoder's blocks lie. They are handed out one behind the other and given back all at
// once; the memory itself stays for the next picture, up to kKeptBytes, since fresh pages cost more
// than the zeros. One object a thread.
class DecoderMemory {
 public:
  static constexpr size_t kKeptBytes = size_t{64} << 20;

  // Forgets all blocks; the next ones may take cap_bytes together.
  void start(int64_t cap_bytes);

  // Null beyond the cap, or if the machine has no more.
  void* allocate(size_t bytes);
  void* reallocate(void* old, size_t old_bytes, size_t bytes);
  void release(void* block);  // gives back only what was handed out last

  bool cap_reached() const { return cap_reached_; }
  bool exhausted() const { return exhausted_; }  // the machine had no more

 private:
  struct Chunk {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size = 0;
  };
  bool add_chunk(size_t bytes);

  std::vector<Chunk> chunks_;  // blocks come from the last one
  size_t used_ = 0;            // of the last chunk
  uint8_t* last_ = nullptr;    // the block handed out last
  int64_t left_ = 0;
  bool cap_reached_ = false, exhausted_ = false;
};

// Decodes into `rgb` {height,width,3}, reusing its capacity. Grey is replicated, alpha dropped, 16
// bits become 8 by the high byte. Takes at most cap_bytes of `memory`. Sides that differ from the
// expected ones are refused.
DecodeResult decode_with_stb(ByteSpan bytes, int width, int height, int64_t cap_bytes,
                             DecoderMemory& memory, std::vector<uint8_t>& rgb);

}  // namespace ft
