// A small residual network and drawn images, for tests of what the driver does between them. Images are never
// files: decode() draws them, and counts.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "apps/ftrun/evaluator.h"
#include "apps/ftrun/trainer.h"

namespace ft::test {

// conv1 bn1 relu1 pool [ conv2 bn2 relu2 conv3 bn3 add relu3 ] avg flatten drop1 fc1 relu4 drop2 fc2, on images
// of 13 x 10. `trainable`: starts of names of what trains.
app::Network small_network(Backend& backend, StreamRef s,
                           const std::vector<std::string>& trainable);

// `count` samples of 3 classes. The pixels are a function of class, index and seed.
struct DrawnImages {
  explicit DrawnImages(size_t count, uint64_t seed);
  Decode decode();
  std::vector<Sample> samples;
  uint64_t seed;
  std::atomic<int64_t> decoded{0};
};

}  // namespace ft::test
