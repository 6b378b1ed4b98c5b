// Drawing the demo data and writing it as files.
#include "apps/ftrun/demo_data.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <numbers>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/progress.h"
#include "io/atomic_file.h"
#include "io/image_write.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

namespace fs = std::filesystem;
constexpr double kPi = std::numbers::pi;

struct Grating {
  double direction;  // of the wave, radians
  double cycles;     // along the shorter side
};

constexpr double kCoarse = 7, kFine = 15;

std::vector<Grating> gratings(const DrawnTask& task, int label) {
  const auto turn = [](int quarter) { return quarter * kPi / 4; };
  if (task.name == "source") return {{turn(label % 4), label < 4 ? kCoarse : kFine}};
  switch (label) {
    case 0:
      return {{turn(0), kCoarse}, {turn(2), kFine}};
    case 1:
      return {{turn(2), kCoarse}, {turn(0), kFine}};
    case 2:
      return {{turn(1), kCoarse}, {turn(3), kFine}};
    default:
      return {{turn(3), kCoarse}, {turn(1), kFine}};
  }
}

// Random numbers of one picture, taken one after the other.
class Draw {
 public:
  Draw(uint64_t seed, uint64_t picture) : rng_(seed, RngPurpose::demo_data, 0, picture) {}
  double between(double low, double high) { return low + (high - low) * rng_.uniform(next_++); }
  int choice(int count) {
    return static_cast<int>(rng_.below(next_++, static_cast<uint32_t>(count)));
  }
  // Noise of pixel value i, -0.5 to 0.5, from counters of its own; one block of bits serves sixteen values.
  double noise(uint64_t i) {
    if (i / 16 != noise_block_) {
      noise_block_ = i / 16;
      for (uint64_t k = 0; k < 4; ++k)
        noise_bits_[k] = rng_.bits((uint64_t{1} << 32) + 4 * noise_block_ + k);
    }
    return ((noise_bits_[i % 16 / 4] >> (8 * (i % 4))) & 255) / 255.0 - 0.5;
  }

 private:
  Rng rng_;
  uint64_t noise_block_ = UINT64_MAX;
  uint32_t noise_bits_[4] = {};
  uint64_t next_ = 0;
};

struct Wave {
  double kx, ky, phase;
  double colour[3];
};

Wave make_wave(const Grating& g, double side, double amplitude, Draw& draw) {
  const double direction = g.direction + draw.between(-0.12, 0.12);
  const double k = 2 * kPi * g.cycles * draw.between(0.9, 1.1) / side;
  Wave wave{k * std::cos(direction), k * std::sin(direction), draw.between(0, 2 * kPi), {}};
  // Mostly brightness, some colour, either sign.
  const double sign = draw.choice(2) == 0 ? 1 : -1;
  for (double& c : wave.colour) c = sign * amplitude * draw.between(0.4, 1);
  return wave;
}

uint8_t clamp_byte(double v) {
  return static_cast<uint8_t>(std::lround(std::min(255.0, std::max(0.0, v))));
}

}  // namespace

const DrawnTask& source_task() {
  static const DrawnTask task{"source",
                              {"coarse-0", "coarse-45", "coarse-90", "coarse-135", "fine-0",
                               "fine-45", "fine-90", "fine-135"}};
  return task;
}

const DrawnTask& target_task() {
  static const DrawnTask task{"target", {"brick", "canvas", "herringbone", "lattice"}};
  return task;
}

DrawnImage draw_texture(const DrawnTask& task, int split, int label, int index, uint64_t seed) {
  const uint64_t picture = (task.name == "source" ? 0ull : 1ull) << 60 |
                           static_cast<uint64_t>(split) << 56 | static_cast<uint64_t>(label) << 40 |
                           static_cast<uint64_t>(index);
  Draw draw(seed, picture);
  static constexpr int kSizes[][2] = {{112, 112}, {128, 112}, {112, 144},
                                      {160, 120}, {144, 144}, {120, 168}};
  const int* size = kSizes[draw.choice(6)];
  DrawnImage image{size[0], size[1], {}};
  const double side = std::min(image.width, image.height);
  double base[3];
  for (double& b : base) b = draw.between(70, 185);
  std::vector<Wave> waves;
  const bool source = task.name == "source";
  const double contrast = source ? draw.between(16, 50) : draw.between(12, 30);
  for (const Grating& g : gratings(task, label))
    waves.push_back(make_wave(g, side, contrast, draw));
  const Wave shading = make_wave({draw.between(0, kPi), 0.7}, side, 25, draw);
  waves.push_back(shading);
  const double noise = source ? draw.between(30, 150) : draw.between(90, 180);
  image.rgb.resize(static_cast<size_t>(image.width * image.height * 3));
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const size_t at = static_cast<size_t>(y * image.width + x) * 3;
      double value[3] = {base[0], base[1], base[2]};
      for (const Wave& w : waves) {
        const double s = std::sin(w.kx * x + w.ky * y + w.phase);
        for (int c = 0; c < 3; ++c) value[c] += w.colour[c] * s;
      }
      for (size_t c = 0; c < 3; ++c)
        image.rgb[at + c] = clamp_byte(value[c] + noise * draw.noise(at + c));
    }
  }
  return image;
}

namespace {

// Drawn pictures can be drawn again: no fsync for each of two thousand files.
void write_quickly(const fs::path& path, const std::vector<uint8_t>& bytes) {
  errno = 0;
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(bytes.data()),
            static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw_output_error(path, "write", errno != 0 ? errno : EIO);
}

// Writes one picture; every third one is a PNG.
void write_picture(const fs::path& folder, const DrawnImage& image, int index) {
  const bool png = index % 3 == 2;
  const std::vector<uint8_t> bytes =
      png ? encode_png(image.rgb.data(), image.width, image.height)
          : encode_jpeg(image.rgb.data(), image.width, image.height, 92);
  const fs::path path = folder / fmt::format("{:04}.{}", index, png ? "png" : "jpg");
  write_quickly(path, bytes);
}

}  // namespace

int run_demo_data(const DemoDataOptions& o) {
  const fs::path root(o.out);
  std::error_code fault;
  if (fs::exists(root, fault) && !(fs::is_directory(root, fault) && fs::is_empty(root, fault)) &&
      !o.force)
    throw Error(2074, o.out, "the folder is not empty",
                "name a new folder, or draw over it with --force");
  const int source = o.source_per_class > 0 ? o.source_per_class : 120;
  const int target = o.target_per_class > 0 ? o.target_per_class : 30;
  struct Part {
    const DrawnTask* task;
    int counts[3];
  };
  const Part parts[] = {{&source_task(), {source, 20, 20}}, {&target_task(), {target, 25, 50}}};
  static const char* const kSplits[] = {"train", "val", "test"};
  int64_t total = 0, done = 0;
  for (const Part& p : parts)
    for (int count : p.counts) total += count * static_cast<int64_t>(p.task->classes.size());
  Progress progress("drawing", total);
  for (const Part& p : parts)
    for (int split = 0; split < 3; ++split)
      for (size_t c = 0; c < p.task->classes.size(); ++c) {
        const fs::path folder = root / p.task->name / kSplits[split] / p.task->classes[c];
        fs::create_directories(folder, fault);
        if (fault) throw_output_error(folder, "mkdir", fault.value());
        for (int i = 0; i < p.counts[split]; ++i) {
          write_picture(folder, draw_texture(*p.task, split, static_cast<int>(c), i, o.seed), i);
          progress.update(++done);
        }
      }
  progress.finish();
  fmt::print(
      "drew {} images into {}: source/ (8 textures, {} a class to train on) and target/ (4 weaves, "
      "{} a class)\n",
      total, escape(o.out), source, target);
  return 0;
}

}  // namespace ft::app
