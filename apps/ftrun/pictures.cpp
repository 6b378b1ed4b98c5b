// Sheets of sample images and Grad-CAM panels.
#include "apps/ftrun/pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "apps/ftrun/preprocess.h"
#include "io/image_canvas.h"
#include "io/image_write.h"
#include "tensor/rng.h"

namespace ft::app {
namespace {

constexpr int kGap = 14, kTitle = 24, kText = 18, kHeading = 18, kFrame = 3;
constexpr int kPicture = 200;                         // longer side of a picture
constexpr int kKeyWidth = 120, kKeyHeight = 12;       // colours of the heat maps
constexpr int kNarrowest = 420, kWidestTitle = 1000;  // of a sheet
constexpr size_t kSheetTiles = 24;
constexpr Rgb kInk{30, 30, 30}, kGrey{150, 150, 150}, kPaper{255, 255, 255}, kRight{0, 130, 90},
    kWrong{200, 60, 20};

Rgb colour_of(Tile::Verdict v) {
  return v == Tile::Verdict::right ? kRight : v == Tile::Verdict::wrong ? kWrong : kGrey;
}

// Where everything goes; all tiles of a sheet have one size.
struct Geometry {
  int picture_w, picture_h, tile_w, tile_h, columns, width;
  bool heat = false;

  Geometry(const std::string& title, std::span<const SheetSection> sections, int height,
           int width_px) {
    const double scale = static_cast<double>(kPicture) / std::max(height, width_px);
    picture_w = std::max(1, static_cast<int>(width_px * scale));
    picture_h = std::max(1, static_cast<int>(height * scale));
    size_t most = 1;
    for (const SheetSection& s : sections) {
      most = std::max(most, s.tiles.size());
      for (const Tile& t : s.tiles) heat = heat || t.heat != nullptr;
    }
    tile_w = (heat ? 2 : 1) * picture_w + 2 * kFrame;
    tile_h = picture_h + 2 * kFrame + 2 * (kText + 4);
    columns = std::min(static_cast<int>(most), heat ? 4 : 6);
    int words = text_width(title, kTitle);
    for (const SheetSection& s : sections) words = std::max(words, text_width(s.heading, kHeading));
    width = std::max(
        {kGap + columns * (tile_w + kGap), kNarrowest, std::min(words + 2 * kGap, kWidestTitle)});
  }

  int rows(const SheetSection& s) const {
    return (static_cast<int>(s.tiles.size()) + columns - 1) / columns;
  }
  int section_height(const SheetSection& s) const {
    return kHeading + kGap + std::max(rows(s) * (tile_h + kGap), kText + kGap);
  }
};

void draw_tile(Canvas& canvas, const Tile& tile, int x, int y, const Geometry& g, int height,
               int width) {
  const int pictures = tile.heat != nullptr ? 2 : 1;
  const Box left{x + kFrame, y + kFrame, g.picture_w, g.picture_h};
  canvas.picture(left, tile.pixels.data(), width, height);
  if (tile.heat != nullptr) {
    const Box right{left.x + g.picture_w, left.y, g.picture_w, g.picture_h};
    canvas.picture(right, tile.pixels.data(), width, height);
    canvas.heat_map(right, tile.heat->values.data(), tile.heat->width, tile.heat->height, 0.5f);
    if (std::ranges::all_of(tile.heat->values, [](float v) { return v == 0; }))
      canvas.text(right.x + 6, right.y + 6, "nothing speaks\nfor this class", kText, kPaper);
  }
  const Rgb colour = colour_of(tile.verdict);
  canvas.frame({x, y, pictures * g.picture_w + 2 * kFrame, g.picture_h + 2 * kFrame}, colour,
               kFrame);
  const int text_y = y + g.picture_h + 2 * kFrame + 4;
  canvas.text(x, text_y, fit_text(tile.first_line, kText, g.tile_w), kText, kInk);
  canvas.text(x, text_y + kText + 3, fit_text(tile.second_line, kText, g.tile_w), kText,
              tile.verdict == Tile::Verdict::none ? kInk : colour);
}

// What the colours of the heat maps mean: each picture is scaled to its own largest value.
void draw_heat_key(Canvas& canvas, int x, int y) {
  const std::string_view low = "nothing", high = "most, of this picture";
  canvas.text(x, y - 2, low, kText, kInk);
  const int left = x + text_width(low, kText) + 8;
  for (int i = 0; i < kKeyWidth; ++i)
    canvas.fill({left + i, y, 1, kKeyHeight},
                heat_color(static_cast<float>(i) / static_cast<float>(kKeyWidth - 1)));
  canvas.text(left + kKeyWidth + 8, y - 2, high, kText, kInk);
}

Tile judged_tile(const Sample& sample, const ImageResult& r, const Network& network) {
  Tile tile;
  tile.pixels = network_view(sample, network.recipe);
  const bool right = r.predicted == r.label;
  tile.verdict = right ? Tile::Verdict::right : Tile::Verdict::wrong;
  tile.first_line = "is " + network.classes[static_cast<size_t>(r.label)];
  tile.second_line =
      fmt::format("says {} {:.0f} %", network.classes[static_cast<size_t>(r.predicted)],
                  100 * r.p[static_cast<size_t>(r.predicted)]);
  return tile;
}

}  // namespace

std::vector<uint8_t> draw_sheet(const std::string& title, std::span<const SheetSection> sections,
                                int height, int width) {
  const Geometry g(title, sections, height, width);
  int total = 2 * kGap + kTitle + (g.heat ? kKeyHeight + kGap : 0);
  for (const SheetSection& s : sections) total += g.section_height(s);
  Canvas canvas(g.width, total + kGap);
  canvas.text(kGap, kGap, fit_text(title, kTitle, g.width - 2 * kGap), kTitle, kInk);
  int y = 2 * kGap + kTitle;
  if (g.heat) {
    draw_heat_key(canvas, kGap, y - 4);
    y += kKeyHeight + kGap;
  }
  for (const SheetSection& s : sections) {
    canvas.text(kGap, y, fit_text(s.heading, kHeading, g.width - 2 * kGap), kHeading, kInk);
    const int top = y + kHeading + 8;
    for (size_t i = 0; i < s.tiles.size(); ++i) {
      const int column = static_cast<int>(i) % g.columns, row = static_cast<int>(i) / g.columns;
      draw_tile(canvas, s.tiles[i], kGap + column * (g.tile_w + kGap),
                top + row * (g.tile_h + kGap), g, height, width);
    }
    if (s.tiles.empty()) canvas.text(kGap, top, "none", kText, kInk);
    y += g.section_height(s);
  }
  return encode_png(canvas.rgb.data(), canvas.width, canvas.height);
}

std::vector<uint8_t> network_view(const Sample& sample, const InputRecipe& recipe) {
  std::vector<uint8_t> pixels(static_cast<size_t>(recipe.height * recipe.width * 3));
  make_decode(recipe, false, 0)(sample, 0, 0, pixels.data());
  return pixels;
}

std::vector<size_t> choose(size_t n, size_t count, uint64_t seed) {
  const std::vector<uint32_t> order =
      permutation(static_cast<uint32_t>(n), seed, RngPurpose::sample_choice, 0);
  std::vector<size_t> chosen(order.begin(),
                             order.begin() + static_cast<std::ptrdiff_t>(std::min(n, count)));
  std::ranges::sort(chosen);
  return chosen;
}

std::vector<size_t> choose_by_class(std::span<const Sample> samples, size_t count, uint64_t seed) {
  const std::vector<uint32_t> order =
      permutation(static_cast<uint32_t>(samples.size()), seed, RngPurpose::sample_choice, 0);
  std::map<int32_t, std::vector<size_t>> by_class;
  for (uint32_t i : order) by_class[samples[i].label].push_back(i);
  std::vector<size_t> chosen;
  for (size_t turn = 0; chosen.size() < std::min(count, samples.size()); ++turn)
    for (const auto& [label, indices] : by_class)
      if (turn < indices.size() && chosen.size() < count) chosen.push_back(indices[turn]);
  std::ranges::sort(chosen);
  return chosen;
}

std::vector<uint8_t> draw_samples(const std::string& title, std::span<const Sample> samples,
                                  const Network& network, uint64_t seed) {
  const std::vector<size_t> chosen = choose_by_class(samples, kSheetTiles, seed);
  SheetSection section{
      fmt::format("{} of {} images, each class in turn", chosen.size(), samples.size()), {}};
  for (size_t i : chosen)
    section.tiles.push_back({network_view(samples[i], network.recipe),
                             network.classes[static_cast<size_t>(samples[i].label)],
                             {},
                             Tile::Verdict::none,
                             nullptr});
  return draw_sheet(title, {&section, 1}, network.recipe.height, network.recipe.width);
}

std::vector<uint8_t> draw_judged(const std::string& title, std::span<const Sample> samples,
                                 std::span<const ImageResult> results, const Network& network,
                                 uint64_t seed) {
  SheetSection section{fmt::format("{} of {} images, chosen at random",
                                   std::min(kSheetTiles, samples.size()), samples.size()),
                       {}};
  for (size_t i : choose(results.size(), kSheetTiles, seed))
    section.tiles.push_back(
        judged_tile(samples[static_cast<size_t>(results[i].sample)], results[i], network));
  return draw_sheet(title, {&section, 1}, network.recipe.height, network.recipe.width);
}

std::vector<uint8_t> draw_gradcam(const std::string& title, std::span<const Sample> samples,
                                  std::span<const ImageResult> results, const Network& network,
                                  GradCam& cam, uint64_t seed, StreamRef s) {
  std::vector<const ImageResult*> hits, misses;
  for (const ImageResult& r : results) (r.predicted == r.label ? hits : misses).push_back(&r);
  std::ranges::stable_sort(
      misses, [](const ImageResult* a, const ImageResult* b) { return a->loss > b->loss; });
  std::vector<const ImageResult*> chosen_hits;
  for (size_t i : choose(hits.size(), 8, seed)) chosen_hits.push_back(hits[i]);
  misses.resize(std::min<size_t>(misses.size(), 8));
  std::vector<Explained> explained;
  explained.reserve(16);  // tiles point into it
  const auto tiles = [&](const std::vector<const ImageResult*>& which) {
    std::vector<Tile> out;
    for (const ImageResult* r : which) {
      Tile tile = judged_tile(samples[static_cast<size_t>(r->sample)], *r, network);
      explained.push_back(cam.explain(tile.pixels, r->label, r->predicted, s));
      tile.heat = &explained.back().heat;
      out.push_back(std::move(tile));
    }
    return out;
  };
  const SheetSection sections[] = {
      {fmt::format("{} of {} hits, chosen at random", chosen_hits.size(), hits.size()),
       tiles(chosen_hits)},
      {fmt::format("{} misses, largest loss first", misses.size()), tiles(misses)}};
  return draw_sheet(title, sections, network.recipe.height, network.recipe.width);
}

}  // namespace ft::app
