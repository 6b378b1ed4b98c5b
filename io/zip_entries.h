// The entries of a zip archive that lies in memory, as torch.save writes it: stored, not compressed. Trusts nothing: the
// central directory has to account for the whole file, and each local header has to agree with it. Nothing is extracted
// to disk. Source: PKWARE APPNOTE 6.3.10, sections 4.3 and 4.5.3. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace ft {

struct ZipEntry {
  std::string name;
  std::span<const std::byte> data;  // in the archive's bytes, as it is stored there
  bool compressed = false;          // data is then of no use
};

// All entries, in the order of the central directory; the checksums of what is not compressed are right.
// Throws Error 2360 for an archive that is cut, contradicts itself or is damaged, and 2361 for what is not read:
// encryption, several disks, a comment, bytes in front, names that lead elsewhere.
std::vector<ZipEntry> read_zip(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
