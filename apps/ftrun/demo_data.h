// Drawn image data: a source and a target task of textures that share local features (oriented edges of
// several frequencies), so that what a network learns on the first helps on the second. Every picture is a
// function of (seed, task, split, class, index) alone.
//   source  8 classes: one grating, 4 directions x 2 frequencies
//   target  4 classes: two gratings on top of each other, told apart by which directions meet
// All have random phase, colours, contrast, a slow shading and noise; sizes and formats vary.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ft::app {

struct DrawnTask {
  std::string name;                  // "source"
  std::vector<std::string> classes;  // folder names
};
const DrawnTask& source_task();
const DrawnTask& target_task();

struct DrawnImage {
  int width = 0, height = 0;
  std::vector<uint8_t> rgb;  // {height,width,3}
};

// Picture `index` of a class of a task; split 0 train, 1 val, 2 test.
DrawnImage draw_texture(const DrawnTask& task, int split, int label, int index, uint64_t seed);

}  // namespace ft::app
