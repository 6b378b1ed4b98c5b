// Pictures that a person looks at after a run: sheets of sample images, and Grad-CAM panels. They are drawn
// as the network sees the images, after resizing. Pure functions of their arguments and of the image files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/ftrun/evaluator.h"
#include "apps/ftrun/gradcam.h"

namespace ft::app {

// One picture of a sheet. Frame and caption are green or red where right and wrong are known.
struct Tile {
  std::vector<uint8_t> pixels;  // {height,width,3} as the recipe makes them
  std::string first_line, second_line;
  enum class Verdict { none, right, wrong } verdict = Verdict::none;
  const Heatmap* heat = nullptr;  // drawn over a second copy of the picture
};

// A heading and its tiles.
struct SheetSection {
  std::string heading;
  std::vector<Tile> tiles;
};

// PNG bytes. An empty section says so.
std::vector<uint8_t> draw_sheet(const std::string& title, std::span<const SheetSection> sections,
                                int height, int width);

// Pixels of one file as the recipe makes them.
std::vector<uint8_t> network_view(const Sample& sample, const InputRecipe& recipe);

// `count` of n indices, chosen by `seed`, ascending.
std::vector<size_t> choose(size_t n, size_t count, uint64_t seed);
// `count` indices of samples, chosen by `seed`, each class in turn until its images are used up: no class is
// absent while another one has two. Ascending.
std::vector<size_t> choose_by_class(std::span<const Sample> samples, size_t count, uint64_t seed);

// A sheet of training images with their labels.
std::vector<uint8_t> draw_samples(const std::string& title, std::span<const Sample> samples,
                                  const Network& network, uint64_t seed);
// A sheet of judged images: what they are and what the network says.
std::vector<uint8_t> draw_judged(const std::string& title, std::span<const Sample> samples,
                                 std::span<const ImageResult> results, const Network& network,
                                 uint64_t seed);
// Eight hits chosen at random and the eight misses with the largest loss, with their Grad-CAM of the
// predicted class.
std::vector<uint8_t> draw_gradcam(const std::string& title, std::span<const Sample> samples,
                                  std::span<const ImageResult> results, const Network& network,
                                  GradCam& cam, uint64_t seed, StreamRef s);

}  // namespace ft::app
