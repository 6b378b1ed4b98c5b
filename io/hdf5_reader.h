// Reads an HDF5 file that lies in memory, trusting nothing in it: no link leads out of the file, no
// plugin is loaded, no size is believed before it is compared. A Reader borrows the image, which
// must outlive it, and its file handle; it never opens a file. Safe to use from several threads:
// libhdf5 is called under one lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ft::hdf5 {

class Id;

using Shape = std::vector<int64_t>;

enum class Element { f32, f64, integer, text, other };

struct DatasetInfo {
  Shape shape;
  Element element = Element::other;
  uint64_t bytes = 0;  // of all elements, uncompressed
  int links = 1;       // names that this object has
};

class Reader {
 public:
  enum class Checksums { verify, skip };  // skip: only where the whole image was verified already

  // Opens `image`; `file` is the name for messages.
  // Throws Error 2340 no HDF5 file or a damaged one, 2341 its writer did not close it.
  Reader(std::span<const std::byte> image, std::string file,
         Checksums checksums = Checksums::verify);
  ~Reader();
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  // True if there is a link of this name; it may still be refused by the functions below.
  bool has(const std::string& path) const;

  // True if there is a group of this name. Throws Error 2343, 2344 as info().
  bool is_group(const std::string& path) const;

  // Names in a group: in order of creation where that is recorded, else sorted.
  // Throws Error 2343, 2344 a link that is not hard, 2350 more than `most`.
  std::vector<std::string> names(const std::string& group, size_t most) const;

  // What a dataset says it is. Refused are: soft and external links (2344), external, virtual and
  // compact storage (2345), filters other than deflate, shuffle, Fletcher32 (2346), sizes that
  // overflow or that the stored bytes cannot fill (2348, 2349), and what is no dataset (2343).
  DatasetInfo info(const std::string& path) const;

  // Reads a dataset of exactly `shape` into `out`, which has its size. Integers convert to int64_t
  // exactly, f32 to float exactly, f64 and f32 to double exactly; nothing else is converted.
  // Throws as info(), and Error 2347 another element type, 2348 another shape, 2342 damaged data.
  void read(const std::string& path, const Shape& shape, std::span<float> out) const;
  void read(const std::string& path, const Shape& shape, std::span<double> out) const;
  void read(const std::string& path, const Shape& shape, std::span<int64_t> out) const;

  // Fixed-length strings of a 1-D dataset. Throws as read(), and 2350 for more than `most`.
  std::vector<std::string> read_strings(const std::string& path, size_t most) const;

  // Attributes of the object at `path` ("/" for the root).
  // Throws Error 2343 if there is none, 2347 if its type or count is another.
  std::vector<std::string> attribute_names(const std::string& path, size_t most) const;
  bool has_attribute(const std::string& path, const std::string& name) const;
  std::string text_attribute(const std::string& path, const std::string& name) const;
  // The same of fixed or variable length, at most `most` bytes, which Error 2350 says. Variable-length text is taken
  // from the image by our own reader of heaps: libhdf5 believes their lengths.
  std::string any_text_attribute(const std::string& path, const std::string& name,
                                 size_t most) const;
  int64_t int_attribute(const std::string& path, const std::string& name) const;
  std::vector<double> number_attribute(const std::string& path, const std::string& name,
                                       size_t count) const;

 private:
  [[noreturn]] void fail(int number, std::string_view path, const std::string& seen,
                         const std::string& remedy) const;
  void check_superblock();
  void check_links(const std::string& path) const;
  Id open(const std::string& path, int kind) const;
  Id open_dataset(const std::string& path, DatasetInfo* info) const;
  void check_storage(const std::string& path, const Id& dataset) const;
  void read_any(const std::string& path, const Shape& shape, Element element, int64_t memory_type,
                void* out) const;
  struct Attribute;
  Attribute open_attribute(const std::string& path, const std::string& name) const;
  void read_attribute(const std::string& path, const Attribute& attribute, int64_t memory_type,
                      void* out) const;

  std::string heap_text(const std::string& path, const Attribute& attribute, size_t most) const;

  std::span<const std::byte> image_;
  size_t start_ = 0;  // of the signature: addresses count from here
  std::string file_;
  Checksums checksums_;
  int64_t id_ = -1;  // hid_t
};

}  // namespace ft::hdf5
