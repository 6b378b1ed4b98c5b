// Numbers out of file bytes, big and little endian. The caller checks the bounds first; nothing
// here looks at more than the bytes it names. Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ft {

using ByteSpan = std::span<const uint8_t>;

inline uint32_t be16(ByteSpan b, size_t at) { return uint32_t{b[at]} << 8 | b[at + 1]; }
inline uint32_t be32(ByteSpan b, size_t at) { return be16(b, at) << 16 | be16(b, at + 2); }
inline uint32_t le16(ByteSpan b, size_t at) { return uint32_t{b[at + 1]} << 8 | b[at]; }
inline uint32_t le32(ByteSpan b, size_t at) { return le16(b, at + 2) << 16 | le16(b, at); }

}  // namespace ft
