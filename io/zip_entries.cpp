// Reading the directory of a zip archive.
#include "io/zip_entries.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <set>

#include "io/byte_cursor.h"
#include "io/png_structure.h"  // crc32
#include "tensor/error.h"

namespace ft {
namespace {

constexpr uint32_t kLocal = 0x04034b50, kCentral = 0x02014b50, kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50, kLocator64 = 0x07064b50;
constexpr size_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kCentralBytes = 46;
constexpr uint16_t kEncrypted = 1 | 1 << 6 | 1 << 13, kSizesFollow = 1 << 3, kPatch = 1 << 5;
constexpr uint32_t kIn64 = 0xffffffff;  // the number stands in the zip64 field
constexpr size_t kMostEntries = 100'000, kMostName = 4096;

struct Directory {
  uint64_t offset, bytes, entries;
  uint64_t end;  // where it has to end
};

// One central header, with the zip64 field resolved.
struct Header {
  std::string name;
  uint16_t flags, method;
  uint32_t crc;
  uint64_t packed, bytes, offset;
};

class ZipReader {
 public:
  ZipReader(std::span<const std::byte> bytes, const std::string& path)
      : bytes_(bytes), path_(path) {}

  std::vector<ZipEntry> run() {
    const Directory directory = find_directory();
    ByteCursor in = cursor(directory.offset);
    std::vector<ZipEntry> entries;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;  // of header and data, to be disjoint
    std::set<std::string> names;
    for (uint64_t i = 0; i < directory.entries; ++i) {
      const Header header = read_central(in);
      if (!names.insert(header.name).second)
        damaged(fmt::format("two entries are named {}", header.name));
      ZipEntry entry = read_local(header, directory.offset);
      const auto end = static_cast<uint64_t>(entry.data.data() - bytes_.data()) + header.packed;
      ranges.emplace_back(header.offset, end);
      entries.push_back(std::move(entry));
    }
    if (directory.offset + in.at() != directory.end)
      damaged("the central directory does not end where it says");
    std::ranges::sort(ranges);
    for (size_t i = 1; i < ranges.size(); ++i)
      if (ranges[i].first < ranges[i - 1].second) damaged("two entries overlap");
    if (!ranges.empty() && ranges[0].first != 0) unread("has other bytes in front");
    return entries;
  }

 private:
  [[noreturn]] void damaged(const std::string& seen) const {
    throw Error(2360, path_, "the zip archive is damaged: " + seen,
                "copy or download the file again");
  }
  [[noreturn]] void unread(const std::string& what) const {
    throw Error(2361, path_, "the zip archive " + what + ", which is not read",
                "save it again with torch.save");
  }
  ByteCursor cursor(uint64_t offset) const {
    if (offset > bytes_.size()) damaged("an offset leads behind its end");
    return {bytes_.subspan(static_cast<size_t>(offset)), 2360, path_};
  }

  // The end record stands at the very end; a zip64 record and its locator may stand in front of it.
  Directory find_directory() const {
    if (bytes_.size() < kEndBytes) damaged("it has no central directory");
    const uint64_t end = bytes_.size() - kEndBytes;
    ByteCursor in = cursor(end);
    if (in.u32() != kEnd)
      damaged("it has no central directory at its end: it is cut, or has a comment");
    const uint16_t disk = in.u16(), first_disk = in.u16(), here = in.u16(), all = in.u16();
    Directory d{0, in.u32(), all, end};
    d.offset = in.u32();
    if (in.u16() != 0) unread("has a comment");
    if (disk != first_disk || (disk != 0 && disk != 0xffff) || here != all)
      unread("is spread over several disks");
    const bool has64 = end >= kLocatorBytes && cursor(end - kLocatorBytes).u32() == kLocator64;
    if (has64) d = find_directory64(end - kLocatorBytes, d);
    if (d.offset > d.end || d.bytes > d.end || d.offset + d.bytes != d.end)
      damaged("the central directory is not where the end record says, or bytes stand in front");
    if (d.entries > kMostEntries || d.entries > d.bytes / kCentralBytes)
      damaged(fmt::format("it says that it has {} entries", d.entries));
    return d;
  }

  Directory find_directory64(uint64_t locator, const Directory& small) const {
    ByteCursor in = cursor(locator);
    in.take(8);  // signature and disk
    const uint64_t record = in.u64();
    if (locator < kEnd64Bytes || record != locator - kEnd64Bytes)
      damaged("the zip64 record is not where its locator says");
    in = cursor(record);
    if (in.u32() != kEnd64 || in.u64() != kEnd64Bytes - 12) damaged("it has no zip64 record");
    in.take(12);  // versions and disks
    const uint64_t here = in.u64(), all = in.u64();
    Directory d{0, in.u64(), all, record};
    d.offset = in.u64();
    const auto agree = [](uint64_t narrow, uint64_t wide, uint64_t most) {
      return narrow == most || narrow == wide;
    };
    if (here != all || !agree(small.entries, all, 0xffff) || !agree(small.bytes, d.bytes, kIn64) ||
        !agree(small.offset, d.offset, kIn64))
      damaged("its two end records disagree");
    return d;
  }

  // The 64-bit numbers of an extra field, for what did not fit into 32 bits, in the order of the standard.
  void read_extra64(std::span<const std::byte> extra, uint64_t* packed, uint64_t* unpacked,
                    uint64_t* offset) const {
    ByteCursor in(extra, 2360, path_);
    while (in.left() >= 4) {
      const uint16_t id = in.u16(), bytes = in.u16();
      ByteCursor field(in.take(bytes), 2360, path_);
      if (id != 1) continue;
      for (uint64_t* value : {unpacked, packed, offset})
        if (value != nullptr && *value == kIn64) *value = field.u64();
    }
  }

  Header read_central(ByteCursor& in) const {
    if (in.u32() != kCentral) damaged("an entry of the central directory has no signature");
    in.take(4);  // versions
    Header h;
    h.flags = in.u16();
    h.method = in.u16();
    in.take(4);  // time and date
    h.crc = in.u32();
    h.packed = in.u32();
    h.bytes = in.u32();
    const uint16_t name = in.u16(), extra = in.u16(), comment = in.u16(), disk = in.u16();
    in.take(6);  // attributes
    h.offset = in.u32();
    h.name = in.text(name);
    read_extra64(in.take(extra), &h.packed, &h.bytes, &h.offset);
    in.take(comment);
    if ((h.flags & (kEncrypted | kPatch)) != 0)
      unread(fmt::format("has an encrypted entry {}", h.name));
    if (h.method == 0 && h.packed != h.bytes)
      damaged(fmt::format("the entry {} has two sizes", h.name));
    if (disk != 0 && disk != 0xffff) unread("is spread over several disks");
    check_name(h.name);
    return h;
  }

  void check_name(const std::string& name) const {
    const std::string framed = "/" + name + "/";
    if (name.empty() || name.size() > kMostName || name[0] == '/' || name.find('\0') != name.npos ||
        name.find('\\') != name.npos || framed.find("/../") != name.npos)
      unread(fmt::format("has an entry named \"{}\", which leads elsewhere", name));
  }

  ZipEntry read_local(const Header& h, uint64_t data_end) const {
    ByteCursor in = cursor(h.offset);
    if (in.u32() != kLocal) damaged(fmt::format("the entry {} is not where it should be", h.name));
    in.take(2);  // version
    const uint16_t flags = in.u16(), method = in.u16();
    in.take(4);  // time and date
    const uint32_t crc = in.u32();
    uint64_t packed = in.u32(), bytes = in.u32();
    const uint16_t name = in.u16(), extra = in.u16();
    const bool same_name = in.text(name) == h.name;
    read_extra64(in.take(extra), &packed, &bytes, nullptr);
    // A writer that streams leaves the numbers zero and writes them behind the data.
    const bool later = (flags & kSizesFollow) != 0 && crc == 0 && packed == 0 && bytes == 0;
    if (!same_name || flags != h.flags || method != h.method ||
        (!later && (crc != h.crc || packed != h.packed || bytes != h.bytes)))
      damaged(fmt::format("the entry {} is described in two ways", h.name));
    const uint64_t begin = h.offset + in.at();
    if (begin > data_end || h.packed > data_end - begin)
      damaged(fmt::format("the entry {} reaches beyond the data", h.name));
    ZipEntry entry{h.name,
                   bytes_.subspan(static_cast<size_t>(begin), static_cast<size_t>(h.packed)),
                   h.method != 0};
    const auto* data = reinterpret_cast<const uint8_t*>(entry.data.data());
    if (!entry.compressed && crc32({data, entry.data.size()}) != h.crc)
      damaged(fmt::format("the checksum of the entry {} is wrong", h.name));
    return entry;
  }

  std::span<const std::byte> bytes_;
  const std::string& path_;
};

}  // namespace

std::vector<ZipEntry> read_zip(std::span<const std::byte> bytes, const std::string& path) {
  return ZipReader(bytes, path).run();
}

}  // namespace ft
