// The marker walk over a JPEG file.
#include "io/jpeg_structure.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ft {
namespace {

enum Marker : int {
  kTem = 0x01,
  kSof0 = 0xC0,
  kSof2 = 0xC2,
  kDht = 0xC4,
  kJpg = 0xC8,
  kDac = 0xCC,
  kRst0 = 0xD0,
  kSoi = 0xD8,
  kEoi = 0xD9,
  kSos = 0xDA,
  kDqt = 0xDB,
  kDnl = 0xDC,
  kDri = 0xDD,
  kDhp = 0xDE,
  kExp = 0xDF,
  kApp0 = 0xE0,
  kApp1 = 0xE1,
  kApp14 = 0xEE,
  kApp15 = 0xEF,
  kJpegLs = 0xF7,
  kCom = 0xFE,
};

bool is_restart(int m) { return m >= kRst0 && m < kRst0 + 8; }
bool is_frame(int m) { return m >= kSof0 && m <= 0xCF && m != kDht && m != kJpg && m != kDac; }

struct Component {
  int id = 0, h = 0, v = 0, quant = 0;
  int64_t blocks_x = 0, blocks_y = 0;  // in a scan of its own
  bool has_dc = false;
};

// One walk over one file.
class JpegWalk {
 public:
  JpegWalk(ByteSpan bytes, std::string_view name, const ImageLimits& limits)
      : b_(bytes), name_(name), limits_(limits) {}

  JpegLayout run() {
    if (b_.size() < 2) ends_early();
    at_ = 2;  // the start marker, seen by whoever called this a JPEG
    while (true) {
      const int marker = next_marker();
      if (marker == kEoi) break;
      if (is_restart(marker) || marker == kTem) continue;
      segment(marker);
    }
    check_complete();
    out_.end = at_;
    return std::move(out_);
  }

 private:
  [[noreturn]] void ends_early() const {
    refuse_image(ImageFault::jpeg_ends_early, name_,
                 fmt::format("JPEG ends early (no end marker after byte {} of {})",
                             grouped(static_cast<int64_t>(b_.size())),
                             grouped(static_cast<int64_t>(b_.size()))));
  }
  [[noreturn]] void damaged(const std::string& what) const {
    refuse_image(
        ImageFault::jpeg_damaged, name_,
        fmt::format("damaged JPEG: {} (near byte {})", what, grouped(static_cast<int64_t>(at_))));
  }
  [[noreturn]] void unsupported(const std::string& kind) const {
    refuse_image(ImageFault::unsupported_kind, name_, "unsupported JPEG kind: " + kind);
  }

  // Moves past the next marker and returns its code. Zeros between segments are padding of some
  // cameras; anything else there means that a length was wrong.
  int next_marker() {
    while (at_ < b_.size() && b_[at_] == 0) ++at_;
    if (at_ < b_.size() && b_[at_] != 0xFF) damaged("no marker where one must be");
    while (at_ < b_.size() && b_[at_] == 0xFF) ++at_;
    if (at_ >= b_.size()) ends_early();
    if (b_[at_] == 0) damaged("scan data outside of a scan");
    return b_[at_++];
  }

  // The segment of `marker`, whose length field is at at_.
  void segment(int marker) {
    if (marker == kSoi) damaged("a second start marker");
    if (marker < kSof0) damaged(fmt::format("reserved marker {:02X}", marker));
    if (at_ + 2 > b_.size()) ends_early();
    const size_t length = be16(b_, at_);
    if (length < 2) damaged(fmt::format("segment {:02X} has length {}", marker, length));
    if (at_ + length > b_.size()) ends_early();
    const size_t body = at_ + 2;
    const ByteSpan data = b_.subspan(body, length - 2);
    at_ += length;
    if (is_frame(marker)) return frame(marker, data, body);
    switch (marker) {
      case kDqt:
        quantisation(data);
        return keep(body);
      case kDht:
        huffman(data);
        return keep(body);
      case kDri:
        restart_interval(data);
        return keep(body);
      case kSos:
        return scan(data, body);
      case kDnl:
        return line_count(data);
      case kDac:
        unsupported("arithmetic coding");
      case kDhp:
      case kExp:
        unsupported("hierarchical");
      case kJpegLs:
        unsupported("JPEG-LS");
      case kApp1:
        return app1(data);
      case kApp0:
        return app0(data);
      case kApp14:
        return app14(data);
      default:
        return;  // other APPn, comments, extensions: no pixels depend on them
    }
  }

  // Keeps marker, length and body of the segment that ends at at_.
  void keep(size_t body) { out_.pieces.push_back({body - 4, at_ - (body - 4)}); }

  void quantisation(ByteSpan d) {
    size_t i = 0;
    while (i < d.size()) {
      const int precision = d[i] >> 4, id = d[i] & 15;
      if (precision > 1 || id > 3) damaged("bad quantisation table header");
      const size_t table = precision == 0 ? 64 : 128;
      if (i + 1 + table > d.size()) damaged("quantisation table cut short");
      has_quant_[id] = true;
      i += 1 + table;
    }
  }

  // Code lengths must form a prefix code (T.81 annex C) of at most 256 symbols.
  void huffman(ByteSpan d) {
    size_t i = 0;
    while (i < d.size()) {
      if (i + 17 > d.size()) damaged("Huffman table cut short");
      const int kind = d[i] >> 4, id = d[i] & 15;
      if (kind > 1 || id > 3) damaged("bad Huffman table header");
      uint32_t symbols = 0, code = 0;
      for (uint32_t length = 1; length <= 16; ++length) {
        code += d[i + length];
        symbols += d[i + length];
        if (code > 1u << length) damaged("Huffman code lengths that no code has");
        code <<= 1;
      }
      if (symbols > 256 || i + 17 + symbols > d.size()) damaged("Huffman table cut short");
      has_huffman_[kind][id] = symbols > 0;
      i += 17 + symbols;
    }
  }

  void restart_interval(ByteSpan d) {
    if (d.size() != 2) damaged("bad restart interval");
    restart_interval_ = be16(d, 0);
  }

  void line_count(ByteSpan d) {
    if (out_.scans == 0 || d.size() != 2 || static_cast<int>(be16(d, 0)) != out_.height) {
      damaged("the number of lines is given twice and differs");
    }
  }

  void app0(ByteSpan d) { jfif_ |= d.size() >= 5 && std::memcmp(d.data(), "JFIF", 5) == 0; }
  void app1(ByteSpan d) {
    const bool exif = d.size() > 6 && std::memcmp(d.data(), "Exif\0", 6) == 0;
    if (exif && out_.exif.empty()) out_.exif = d.subspan(6);
  }
  void app14(ByteSpan d) {
    if (d.size() >= 12 && std::memcmp(d.data(), "Adobe", 5) == 0) adobe_ = d[11];
  }

  void frame(int marker, ByteSpan d, size_t body) {
    if (!comps_.empty()) damaged("a second frame header");
    check_frame_kind(marker);
    if (d.size() < 6) damaged("frame header cut short");
    if (d[0] != 8) unsupported(fmt::format("{} bits per sample, only 8 are decoded", d[0]));
    out_.progressive = marker == kSof2;
    out_.height = static_cast<int>(be16(d, 1));
    out_.width = static_cast<int>(be16(d, 3));
    out_.components = d[5];
    check_sides(out_.width, out_.height, limits_, name_);
    if (d.size() != 6 + 3 * size_t{d[5]}) damaged("frame header of a wrong length");
    if (d[5] != 1 && d[5] != 3 && d[5] != 4) {
      unsupported(fmt::format("{} colour components, only 1, 3 and 4 are decoded", d[5]));
    }
    for (size_t i = 6; i < d.size(); i += 3) {
      comps_.push_back({.id = d[i], .h = d[i + 1] >> 4, .v = d[i + 1] & 15, .quant = d[i + 2]});
    }
    check_sampling();
    keep(body);
  }

  void check_frame_kind(int marker) const {
    switch (marker) {
      case 0xC0:
      case 0xC1:
      case 0xC2:
        return;
      case 0xC3:
        unsupported("lossless");
      case 0xC5:
      case 0xC6:
      case 0xC7:
        unsupported("hierarchical");
      case 0xCB:
        unsupported("lossless with arithmetic coding");
      default:
        unsupported("arithmetic coding");
    }
  }

  void check_sampling() {
    for (const Component& c : comps_) {
      if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.quant > 3) damaged("bad sampling factors");
      h_max_ = std::max(h_max_, c.h);
      v_max_ = std::max(v_max_, c.v);
    }
    const auto blocks = [](int64_t side, int factor, int most) {
      const int64_t samples = (side * factor + most - 1) / most;
      return (samples + 7) / 8;
    };
    for (Component& c : comps_) {
      if (h_max_ % c.h != 0 || v_max_ % c.v != 0) unsupported("fractional colour subsampling");
      c.blocks_x = blocks(out_.width, c.h, h_max_);
      c.blocks_y = blocks(out_.height, c.v, v_max_);
    }
  }

  // Scan header and the coded data behind it.
  void scan(ByteSpan d, size_t body) {
    if (comps_.empty()) damaged("a scan before the frame header");
    const int64_t pixels = int64_t{out_.width} * out_.height;
    ++out_.scans;
    if (out_.scans > kMaxJpegScans || out_.scans * pixels > kMaxJpegScanPixels) {
      refuse_image(ImageFault::too_many_scans, name_,
                   fmt::format("JPEG with {} scans or more of {} x {} pixels, ordinary files have "
                               "about ten",
                               out_.scans, out_.width, out_.height));
    }
    const size_t n = d.empty() ? 0 : d[0];
    if (n < 1 || n > comps_.size() || d.size() != 4 + 2 * n) damaged("bad scan header");
    const Band band{d[2 * n + 1], d[2 * n + 2], d[2 * n + 3] >> 4, d[2 * n + 3] & 15};
    check_band(band, n);
    std::vector<Component*> members;
    for (size_t i = 0; i < n; ++i) {
      const auto found = std::ranges::find(comps_, int{d[1 + 2 * i]}, &Component::id);
      if (found == comps_.end()) damaged("a scan of a component that the frame does not have");
      if (std::ranges::count(members, &*found) != 0) damaged("a scan names a component twice");
      check_tables(*found, d[2 + 2 * i], band);
      members.push_back(&*found);
    }
    scan_data(members, band);
    keep(body);
  }

  // Spectral selection (first, last coefficient) and successive approximation (bits before, now).
  struct Band {
    int first, last, before, now;
  };

  void check_band(const Band& band, size_t n) const {
    const bool good = out_.progressive
                          ? band.first <= band.last && band.last <= 63 && band.before <= 13 &&
                                band.now <= 13 && (band.first == 0 ? band.last == 0 : n == 1)
                          : band.first == 0 && band.before == 0 && band.now == 0;
    if (!good) damaged("bad scan parameters");
  }

  void check_tables(Component& c, int selectors, const Band& band) const {
    const int dc = selectors >> 4, ac = selectors & 15;
    if (dc > 3 || ac > 3) damaged("bad table number in a scan header");
    const bool needs_dc = band.first == 0 && band.before == 0;
    const bool needs_ac = !out_.progressive || band.first > 0;
    if ((needs_dc && !has_huffman_[0][dc]) || (needs_ac && !has_huffman_[1][ac])) {
      damaged("a scan uses a Huffman table that the file does not define");
    }
    if (!has_quant_[c.quant]) damaged("a scan uses a quantisation table that the file lacks");
    c.has_dc |= needs_dc;
  }

  // Follows coded data to the next real marker, and checks that it can hold the scan at all: the
  // least that can be coded is a bit per block and coefficient kind, and every restart marker is
  // there.
  void scan_data(const std::vector<Component*>& members, const Band& band) {
    const size_t start = at_;
    const int64_t restarts = skip_coded_data();
    int64_t units = 0, blocks_per_unit = 1;
    if (members.size() == 1) {
      units = members[0]->blocks_x * members[0]->blocks_y;
    } else {
      const int64_t mcu_x = (out_.width + 8 * h_max_ - 1) / (8 * h_max_);
      const int64_t mcu_y = (out_.height + 8 * v_max_ - 1) / (8 * v_max_);
      units = mcu_x * mcu_y;
      blocks_per_unit = 0;
      for (const Component* c : members) blocks_per_unit += c->h * c->v;
    }
    const int64_t needed =
        restart_interval_ == 0 ? 0 : (units + restart_interval_ - 1) / restart_interval_ - 1;
    const int64_t least_bits =
        band.first > 0 ? 1 : units * blocks_per_unit * (out_.progressive ? 1 : 2);
    if (8 * static_cast<int64_t>(at_ - start) < least_bits || restarts < needed) {
      damaged(fmt::format("{} bytes of scan data cannot hold {} x {} pixels",
                          grouped(static_cast<int64_t>(at_ - start)), out_.width, out_.height));
    }
  }

  // Leaves at_ on the 0xFF of the marker that ends the scan; returns the number of restart markers.
  int64_t skip_coded_data() {
    int64_t restarts = 0;
    while (true) {
      const auto* ff =
          static_cast<const uint8_t*>(std::memchr(b_.data() + at_, 0xFF, b_.size() - at_));
      if (ff == nullptr) break;
      at_ = static_cast<size_t>(ff - b_.data());
      size_t next = at_ + 1;
      while (next < b_.size() && b_[next] == 0xFF) ++next;
      if (next >= b_.size()) break;
      if (b_[next] != 0 && !is_restart(b_[next])) return restarts;
      if (b_[next] != 0) {
        if (b_[next] - kRst0 != restarts % 8) damaged("restart markers out of order");
        ++restarts;
      }
      at_ = next + 1;
    }
    ends_early();
  }

  void check_complete() {
    if (comps_.empty()) damaged("no frame header");
    for (const Component& c : comps_) {
      if (!c.has_dc) damaged(fmt::format("no pixel data for component {}", c.id));
    }
    if (out_.components == 4) {
      out_.adobe_transform = adobe_ > 0 ? 2 : 0;
    } else if (out_.components == 3 && adobe_ == 0 && !jfif_) {
      out_.adobe_transform = 0;
    }
  }

  ByteSpan b_;
  std::string_view name_;
  const ImageLimits& limits_;
  size_t at_ = 0;
  JpegLayout out_;
  std::vector<Component> comps_;
  int h_max_ = 1, v_max_ = 1;
  std::array<bool, 4> has_quant_{};
  std::array<std::array<bool, 4>, 2> has_huffman_{};
  int64_t restart_interval_ = 0;
  int adobe_ = -1;
  bool jfif_ = false;
};

}  // namespace

JpegLayout walk_jpeg(ByteSpan bytes, std::string_view name, const ImageLimits& limits) {
  return JpegWalk(bytes, name, limits).run();
}

void clean_jpeg(ByteSpan bytes, const JpegLayout& layout, std::vector<uint8_t>& out) {
  out.assign({0xFF, kSoi});
  if (layout.adobe_transform >= 0) {
    const auto transform = static_cast<uint8_t>(layout.adobe_transform);
    out.insert(out.end(),
               {0xFF, kApp14, 0, 14, 'A', 'd', 'o', 'b', 'e', 0, 100, 0, 0, 0, 0, transform});
  }
  for (const auto& piece : layout.pieces) {
    const ByteSpan from = bytes.subspan(piece.offset, piece.bytes);
    out.insert(out.end(), from.begin(), from.end());
  }
  out.insert(out.end(), {0xFF, kEoi});
}

}  // namespace ft
