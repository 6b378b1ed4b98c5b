// Weight files: what it takes to load one from a warm page cache, with all its checks and without, and the parts of that.
// The file holds ResNet-50 with drawn numbers and lies in TMPDIR (else /tmp) while the program runs.
//   weights_bench --benchmark_repetitions=5
#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "bench/bench_main.h"
#include "io/hdf5_reader.h"
#include "io/huge_pages.h"
#include "io/sha256.h"
#include "io/weights.h"
#include "layers/parameter_set.h"
#include "models/model.h"

namespace ft::bench {
namespace {

namespace fs = std::filesystem;

WeightFile drawn_network() {
  const Model model = build_model(find_model("resnet50"), 1000, 224, 224);
  WeightFile file;
  file.model = model.name;
  file.recipe = {224, 224, ResizeMode::crop, 256, ColourOrder::rgb, 1, {0, 0, 0}, {1, 1, 1}};
  for (const Parameter& p : model.graph.parameters()) {
    NamedTensor t{p.name, {p.shape.dims().begin(), p.shape.dims().end()}, {}};
    t.data.resize(static_cast<size_t>(p.shape.elements()));
    draw_initial(p, 0, t.data);
    file.tensors.push_back(std::move(t));
  }
  return file;
}

fs::path scratch_folder() {
  const char* folder = std::getenv("TMPDIR");
  return folder == nullptr ? "/tmp" : folder;
}

// Removed at the end.
struct ScratchFile {
  fs::path path = scratch_folder() / fmt::format("ft_weights_bench.{}.h5", ::getpid());
  ~ScratchFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
};

FileBytes read(const fs::path& path) {
  FileBytes bytes;
  FileReadOptions options;
  options.first_error = 2300;
  options.what = "weight file";
  read_file_bytes(path, options, &bytes);
  return bytes;
}

// All tensors, as load_weights() reads them, but without a look at their values.
size_t parse(std::span<const std::byte> image) {
  const hdf5::Reader file(image, "bench", hdf5::Reader::Checksums::skip);
  std::vector<std::vector<float>> tensors;
  for (const std::string& name : file.names("/tensors", 1000)) {
    const hdf5::DatasetInfo info = file.info("/tensors/" + name);
    tensors.push_back(make_large_vector<float>(info.bytes / sizeof(float)));
    file.read("/tensors/" + name, info.shape, tensors.back());
  }
  return tensors.size();
}

// A benchmark of something that goes once over the file.
void add_pass(const std::string& name, size_t bytes, const std::function<void()>& pass) {
  add(name, [=](benchmark::State& state) {
    for (auto iteration : state) pass();
    state.counters["GB/s"] = benchmark::Counter(static_cast<double>(bytes) / 1e9,
                                                benchmark::Counter::kIsIterationInvariantRate);
  });
}

int measure(int argc, char** argv) {
  parse_flags(argc, argv);
  const ScratchFile file;
  save_weights(file.path, drawn_network());
  const FileBytes image = read(file.path);
  describe_machine(
      {{"file_bytes", std::to_string(image.size())}, {"folder", file.path.parent_path()}});
  const size_t n = image.size();
  add_pass("load", n, [&] { benchmark::DoNotOptimize(load_weights(file.path).tensors.size()); });
  add_pass("load_without_checks", n,
           [&] { benchmark::DoNotOptimize(parse(read(file.path).bytes())); });
  add_pass("read", n, [&] { benchmark::DoNotOptimize(read(file.path).size()); });
  add_pass("sha256", n, [&] { benchmark::DoNotOptimize(sha256_hex(image.bytes())); });
  add_pass("parse", n, [&] { benchmark::DoNotOptimize(parse(image.bytes())); });
  return run();
}

}  // namespace
}  // namespace ft::bench

int main(int argc, char** argv) {
  return ft::bench::guarded([&] { return ft::bench::measure(argc, argv); });
}
