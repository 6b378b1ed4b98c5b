// Writes whole tensors for scripts/golden/parity_live.py: raw f32, little-endian, in logical order.
//   parity_tensors cases GOLDEN.json DEVICE OUT
// runs the cases of a golden file: OUT/logits.I, OUT/step.I.loss, OUT/step.I.NAME for every gradient and running
// statistic, OUT/run.NAME for its losses; I counts the cases of a kind from 0.
//   parity_tensors photos DEVICE OUT PHOTO...
// prepares photographs by torchvision's recipe at 224: OUT/pixels.I {224,224,3} in bytes, OUT/input.I {3,224,224}.
#include <cstdio>
#include <fstream>

#include "apps/ftrun/network.h"
#include "io/image_reader.h"
#include "tensor/error.h"
#include "tests/parity/network_run.h"

namespace ft::parity {
namespace {

template <class T>
void write(const std::filesystem::path& file, const std::vector<T>& values) {
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(values.data()),
            static_cast<std::streamsize>(values.size() * sizeof(T)));
  out.flush();
  FT_CHECK(out.good(), "cannot write " + file.string());
}

void write_step(const Golden& golden, const StepCase& c, Device device, const std::string& stem) {
  NetworkRun run(golden, c.images, {.mode = Mode::training}, device);
  write(stem + "loss", std::vector<float>{static_cast<float>(run.pass())});
  const auto& parameters = run.model().graph.parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const int index = static_cast<int>(i);
    write(stem + parameters[i].name,
          parameters[i].is_statistic() ? run.value(index) : run.gradient(index));
  }
}

void write_all(const Golden& golden, Device device, const std::filesystem::path& out) {
  std::filesystem::create_directories(out);
  for (size_t i = 0; i < golden.logits.size(); ++i) {
    NetworkRun run(golden, golden.logits[i].images, {}, device);
    write(out / ("logits." + std::to_string(i)), run.logits());
  }
  for (size_t i = 0; i < golden.steps.size(); ++i)
    write_step(golden, golden.steps[i], device, out / ("step." + std::to_string(i) + "."));
  for (const RunCase& c : golden.runs) {
    const std::vector<double> losses = NetworkRun(golden, c.images, options_of(c), device).train(c);
    write(out / ("run." + c.name), std::vector<float>(losses.begin(), losses.end()));
  }
}

void write_photos(Device device, const std::filesystem::path& out, std::span<char* const> photos) {
  std::filesystem::create_directories(out);
  const InputRecipe recipe = app::published_recipe(find_model("resnet50"), 224, 224);
  const auto backend = make_backend(device, {2});
  const auto stream = backend->make_stream();
  const Tensor pixels({{1, 224, 224, 3}, DType::u8, Layout::plain}, backend->allocator());
  const Tensor input({{1, 3, 224, 224}, DType::f32, Layout::plain}, backend->allocator());
  ImageReader reader(resize_spec(recipe));
  std::vector<uint8_t> bytes(reader.slot_bytes());
  std::vector<float> values(bytes.size());
  for (size_t i = 0; i < photos.size(); ++i) {
    reader.read(photos[i], {}, bytes.data());
    backend->upload(stream->ref(), bytes.data(), pixels);
    backend->normalize_image(stream->ref(), app::normalize_spec(recipe), pixels, input);
    backend->download(stream->ref(), input, values.data());
    backend->synchronize(stream->ref());
    write(out / ("pixels." + std::to_string(i)), bytes);
    write(out / ("input." + std::to_string(i)), values);
  }
}

int run(const std::vector<std::string>& args, std::span<char* const> photos) {
  if (args.size() == 4 && args[0] == "cases") {
    write_all(read_golden(args[1]), parse_device(args[2]), args[3]);
  } else if (args.size() >= 4 && args[0] == "photos") {
    write_photos(parse_device(args[1]), args[2], photos);
  } else {
    std::fputs("usage: parity_tensors cases GOLDEN.json DEVICE OUT | photos DEVICE OUT PHOTO...\n",
               stderr);
    return 2;
  }
  return 0;
}

}  // namespace
}  // namespace ft::parity

int main(int argc, char** argv) {
  try {
    const std::span<char* const> all(argv, static_cast<size_t>(argc));
    return ft::parity::run({all.begin() + 1, all.end()},
                           all.subspan(std::min<size_t>(4, all.size())));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "parity_tensors: %s\n", e.what());
    return 1;
  }
}
