// The pictures of a run as SVG documents: learning curves and the confusion matrix. White ground,
// colours that colour-blind people tell apart, no scripts, names escaped. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ft {

// Points in order of x. A y that is NaN or infinite is a gap.
struct Curve {
  std::vector<double> x, y;
};

struct TrainingCurves {
  std::string title;
  std::string x_label = "epoch";
  Curve train_loss, val_loss;
  Curve train_accuracy, val_accuracy;  // fractions, 0..1
};

// Two panels, loss and accuracy, with the last values in the legend and a ring around the best
// validation (of equal accuracies the one of the lower loss, as best.h5 is chosen). More than a few hundred points are drawn faintly below their moving mean.
// Curves may be empty. FT_CHECK: x and y have one length.
std::string curves_svg(const TrainingCurves& curves);

// Confusion matrix: counts[p * n + t] samples of true class t were predicted as class p. Rows are
// the predicted classes, columns the true ones; rates are shares of the true class. The margins
// show precision (of a row) and recall (of a column); what is undefined for lack of samples is
// shown as an en dash. Of more than 50 classes the 50 with the most errors are shown. FT_CHECK: at
// least one class, n * n counts, none negative.
std::string confusion_svg(const std::vector<std::string>& classes, std::span<const int64_t> counts);

}  // namespace ft
