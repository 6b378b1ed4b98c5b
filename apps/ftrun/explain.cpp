// ftrun explain: Grad-CAM of any images.
#include <fmt/format.h>

#include <algorithm>

#include "apps/ftrun/commands.h"
#include "apps/ftrun/device.h"
#include "apps/ftrun/image_files.h"
#include "apps/ftrun/pictures.h"
#include "apps/ftrun/progress.h"
#include "apps/ftrun/self_test.h"
#include "io/atomic_file.h"
#include "models/patterns.h"

namespace ft::app {
namespace {

int find_class(const Network& network, const std::string& name) {
  if (name.empty()) return -1;
  const auto it = std::ranges::find(network.classes, name);
  if (it != network.classes.end()) return static_cast<int>(it - network.classes.begin());
  const std::string near = nearest_name(name, network.classes);
  throw Error(
      2027, "--class", "the network has no class \"" + name + "\"",
      near.empty() ? "ftrun inspect FILE.h5 lists the classes" : "did you mean " + near + "?");
}

}  // namespace

int run_explain(const ExplainOptions& o) {
  check_writable(o.out);
  const OpenDevice chosen = open_device(o.common);
  Backend& backend = *chosen.backend;
  const auto stream = backend.make_stream();
  Network network = load_tested(o.weights, !o.no_self_test, backend, stream->ref());
  const int target = find_class(network, o.class_name);
  const std::vector<Sample> samples =
      check_image_files(collect_image_files(o.files), o.bad_images == "skip", 0);
  GradCam cam(network, backend, numerics_of(o.common, backend), o.map,
              o.target == "softmax" ? CamTarget::softmax : CamTarget::logit);
  SheetSection section{counted(static_cast<int64_t>(samples.size()), "image"), {}};
  if (const std::string note = cam.note(); !note.empty()) {
    section.heading += "; " + note;
    fmt::print("note        {}\n", note);
  }
  std::vector<Explained> explained;
  explained.reserve(samples.size());  // tiles point into it
  for (const Sample& sample : samples) {
    Tile tile;
    tile.pixels = network_view(sample, network.recipe);
    explained.push_back(cam.explain(tile.pixels, -1, target, stream->ref()));
    const Explained& e = explained.back();
    tile.heat = &e.heat;
    tile.first_line = sample.path.substr(sample.path.rfind('/') + 1);
    tile.second_line = fmt::format("{} {:.1f} %", network.classes[static_cast<size_t>(e.target)],
                                   100 * e.result.p[static_cast<size_t>(e.target)]);
    fmt::print("{}  {}\n", escape(sample.path), escape(tile.second_line));
    section.tiles.push_back(std::move(tile));
  }
  const std::vector<uint8_t> png = draw_sheet("Grad-CAM: what speaks for the class", {&section, 1},
                                              network.recipe.height, network.recipe.width);
  write_atomically(o.out, std::as_bytes(std::span(png)));
  fmt::print("wrote {}\n", escape(o.out));
  return 0;
}

}  // namespace ft::app
