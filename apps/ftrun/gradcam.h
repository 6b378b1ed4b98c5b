// Grad-CAM: which part of an image speaks for a class. The channels of a feature map are weighted with the
// spatial means of the gradient of the class score; the map is the ReLU of their weighted sum.
// Source: Selvaraju et al. 2017, equations 1 and 2 (the ReLU belongs on the sum, not on the gradients).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/ftrun/evaluator.h"

namespace ft::app {

enum class CamTarget {
  logit,    // the class score before the softmax: does not vanish as the network gets sure
  softmax,  // the probability, as MATLAB differentiates
};

// values {height,width}, 0 to 1 (all 0 where nothing speaks for the class).
struct Heatmap {
  int width = 0, height = 0;
  std::vector<float> values;
};

struct Explained {
  ImageResult result;
  int target = 0;  // class that was explained
  Heatmap heat;
};

class GradCam {
 public:
  // `map`: name of the node whose output is weighted; "" for the model's last map. Throws Error 2025 if the
  // model has no such node or its output has no height and width.
  GradCam(Network& network, Backend& backend, const NumericsPolicy& numerics,
          const std::string& map, CamTarget target);

  // "" where the map shows places; else why it cannot: it has one cell.
  std::string note() const;

  // pixels {height,width,3} as the recipe makes them; target -1: the predicted class.
  Explained explain(std::span<const uint8_t> pixels, int label, int target, StreamRef s);

 private:
  Heatmap heat_of(StreamRef s) const;
  Network& network_;
  Backend& backend_;
  ValueId map_;
  CamTarget target_;
  std::unique_ptr<CompiledGraph> compiled_;
  std::unique_ptr<Executor> executor_;
};

// The heat at (x, y) of a picture of width x height, bilinear between cell centres.
float heat_at(const Heatmap& heat, int x, int y, int width, int height);

}  // namespace ft::app
