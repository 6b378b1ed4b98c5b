// From the bytes of a JPEG file to 224x224x3 pixels in a batch, on one thread: what a worker of the loader
// does with every picture, and its parts. Pictures are drawn at start-up with the statistics of photographs
// (detail at every scale, weaker towards the fine ones) and written by the project's own JPEG writer;
// above quality 90 it keeps colours at full resolution, which costs the decoder more. With FT_PHOTOS=DIR
// (train/ with a folder a class) the JPEG files there are measured as well.
//   loader_bench --benchmark_filter='/read/'
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "bench/bench_main.h"
#include "io/image_reader.h"
#include "io/image_write.h"
#include "tensor/rng.h"

namespace ft::bench {
namespace {

using Bytes = std::vector<uint8_t>;

// Noise on a grid of 4x4, 8x8, ... cells, interpolated; each is `detail` times as strong as the one before,
// which sets how many bytes a file has.
class Photo {
 public:
  Photo(int width, int height, double detail, uint64_t number)
      : width_(width), height_(height), rgb_(static_cast<size_t>(width * height * 3)) {
    const Rng rng(7, RngPurpose::test, 0, number);
    std::vector<double> light(static_cast<size_t>(width * height)), tint[2];
    for (auto& t : tint) t.resize(light.size());
    uint64_t drawn = 0;
    double amplitude = 40;
    for (int cells = 4; cells < std::max(width, height); cells *= 2, amplitude *= detail) {
      add_octave(rng, &drawn, cells, amplitude, light);
      if (cells <= 64)
        for (auto& t : tint) add_octave(rng, &drawn, cells, 0.4 * amplitude, t);
    }
    for (size_t i = 0; i < light.size(); ++i) {
      rgb_[3 * i] = pixel(light[i] + tint[0][i]);
      rgb_[3 * i + 1] = pixel(light[i]);
      rgb_[3 * i + 2] = pixel(light[i] + tint[1][i]);
    }
  }
  Bytes jpeg(int quality) const { return encode_jpeg(rgb_.data(), width_, height_, quality); }

 private:
  static uint8_t pixel(double v) { return static_cast<uint8_t>(std::clamp(128 + v, 0.0, 255.0)); }

  void add_octave(const Rng& rng, uint64_t* drawn, int cells, double amplitude,
                  std::vector<double>& out) const {
    const size_t side = static_cast<size_t>(cells) + 2;
    std::vector<double> grid(side * side);
    for (double& g : grid) g = amplitude * rng.normal((*drawn)++);
    const double scale = static_cast<double>(cells) / std::max(width_, height_);
    for (int y = 0; y < height_; ++y)
      for (int x = 0; x < width_; ++x) {
        const double u = x * scale, v = y * scale;
        const auto i = static_cast<size_t>(u), j = static_cast<size_t>(v);
        const double a = u - std::floor(u), b = v - std::floor(v);
        const double* g = &grid[j * side + i];
        out[static_cast<size_t>(y * width_ + x)] +=
            (1 - b) * ((1 - a) * g[0] + a * g[1]) + b * ((1 - a) * g[side] + a * g[side + 1]);
      }
  }

  int width_, height_;
  std::vector<uint8_t> rgb_;
};

struct Pictures {
  std::string name;
  std::vector<Bytes> files;
};

Pictures draw(int width, int height, int quality, double detail) {
  Pictures p{fmt::format("drawn/{}x{}/q{}", width, height, quality), {}};
  for (uint64_t i = 0; i < 32; ++i)
    p.files.push_back(Photo(width, height, detail, i).jpeg(quality));
  return p;
}

// Up to 64 JPEG files of a folder of photographs, spread over all of it.
Pictures photographs(const std::filesystem::path& folder) {
  if (!std::filesystem::is_directory(folder))
    throw Error(2201, folder.string(), "there is no such folder",
                "let FT_PHOTOS name a folder with train/ in it");
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && entry.path().extension() == ".jpg")
      paths.push_back(entry.path());
  std::ranges::sort(paths);
  Pictures p{"photographs", {}};
  const size_t step = std::max<size_t>(1, paths.size() / 64);
  for (size_t i = 0; i < paths.size() && p.files.size() < 64; i += step) {
    const FileBytes file = read_image_file(paths[i]);
    const ByteSpan bytes = image_bytes(file);
    if (sniff(bytes) == FileKind::jpeg) p.files.emplace_back(bytes.begin(), bytes.end());
  }
  return p;
}

// body(bytes of file i, i) for one file after the other; an iteration is one picture.
template <class Body>
void each_picture(benchmark::State& state, const Pictures& pictures, const Body& body) {
  size_t i = 0;
  for (auto _ : state) {
    body(pictures.files[i], i);
    benchmark::ClobberMemory();
    i = (i + 1) % pictures.files.size();
  }
  double total = 0;
  for (const Bytes& b : pictures.files) total += static_cast<double>(b.size());
  state.counters["images/s"] = benchmark::Counter(1, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel(
      fmt::format("{:.1f} KB a file", total / 1000 / static_cast<double>(pictures.files.size())));
}

void register_parts(const Pictures& pictures) {
  ResizeSpec squash;
  squash.mode = ResizeMode::squash;
  add(pictures.name + "/read", [&pictures, squash](benchmark::State& state) {
    ImageReader reader(squash);
    Bytes slot(reader.slot_bytes());
    each_picture(state, pictures, [&](const Bytes& bytes, size_t) {
      reader.read(bytes, pictures.name, {}, slot.data());
    });
  });
  add(pictures.name + "/check", [&pictures](benchmark::State& state) {
    ImageDecoder decoder;
    Image image;
    each_picture(state, pictures,
                 [&](const Bytes& bytes, size_t) { decoder.check(bytes, pictures.name, image); });
  });
  add(pictures.name + "/check_and_decode", [&pictures](benchmark::State& state) {
    ImageDecoder decoder;
    Image image;
    each_picture(state, pictures,
                 [&](const Bytes& bytes, size_t) { decoder.decode(bytes, pictures.name, image); });
  });
  add(pictures.name + "/resize", [&pictures, squash](benchmark::State& state) {
    std::vector<Image> images;
    for (const Bytes& bytes : pictures.files) images.push_back(decode_image(bytes, pictures.name));
    Resizer resizer;
    Bytes slot(ResizePlan{0, 0, 0, 0, squash.width, squash.height}.bytes());
    each_picture(state, pictures, [&](const Bytes&, size_t i) {
      const Image& image = images[i];
      const ResizePlan plan = plan_resize(squash, image.width, image.height);
      resizer.run(image.rgb.data(), image.width, image.height, plan, false, slot.data());
    });
  });
}

int main_of(int argc, char** argv) {
  parse_flags(argc, argv);
  describe_machine({{"threads", "1"}});
  // Detail is set so that files are as large as photographs of these sides and qualities: 8.7 and 63 KB.
  std::vector<Pictures> all{draw(178, 218, 75, 0.77), draw(500, 375, 92, 0.765),
                            draw(500, 375, 90, 0.835)};
  if (const char* folder = std::getenv("FT_PHOTOS"); folder != nullptr && *folder != '\0')
    all.push_back(photographs(std::filesystem::path(folder) / "train"));
  else
    fmt::print(stderr, "no photographs: FT_PHOTOS is not set\n");
  for (const Pictures& pictures : all)
    if (!pictures.files.empty()) register_parts(pictures);
  return run();
}

}  // namespace
}  // namespace ft::bench

int main(int argc, char** argv) {
  return ft::bench::guarded([&] { return ft::bench::main_of(argc, argv); });
}
