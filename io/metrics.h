// How good a network is: confusion matrix, rates per class, mean loss, and how sure one can be of
// an accuracy. What is not defined (a class without samples) is an empty optional and prints as
// words, never as 0 or NaN. Values; not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ft {

// Index of the largest value; of equal ones the lowest. NaN is never the largest; -1 if there is
// nothing but NaN.
int argmax(std::span<const float> values);

// Counts of (predicted class, true class): rows predicted, columns true.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int classes);

  // 0 <= predicted, truth < classes().
  void add(int predicted, int truth, int64_t count = 1);
  void add(const ConfusionMatrix& other);

  int classes() const { return classes_; }
  int64_t count(int predicted, int truth) const;
  int64_t samples(int truth) const;          // sum of a column
  int64_t predictions(int predicted) const;  // sum of a row
  int64_t total() const;
  int64_t correct() const;

  // correct / total. Empty without samples.
  std::optional<double> accuracy() const;
  // Mean recall of the classes that have samples. Empty without samples.
  std::optional<double> balanced_accuracy() const;
  // Part of the class's samples that were found. Empty: the class has no samples.
  std::optional<double> recall(int truth) const;
  // Part of what was called this class that is. Empty: nothing was called so.
  std::optional<double> precision(int predicted) const;

 private:
  size_t at(int predicted, int truth) const;

  int classes_;
  std::vector<int64_t> counts_;  // {predicted, true}
};

// Mean over samples of values that are means over batches.
class RunningMean {
 public:
  void add(double mean_of_batch, int64_t samples);
  int64_t samples() const { return samples_; }
  std::optional<double> mean() const;

 private:
  double sum_ = 0, lost_ = 0;  // compensated summation (Neumaier 1974)
  int64_t samples_ = 0;
};

struct Interval {
  double low = 0, high = 0;
};

// 95 % interval of a rate of which correct of total were observed. Empty if total is 0.
// Source: Wilson 1927, score interval without continuity correction.
std::optional<Interval> wilson_interval(int64_t correct, int64_t total);

// "92.3 %", or `otherwise` if there is no value.
std::string percent(std::optional<double> rate, const char* otherwise = "undefined");

// Lines for a terminal: the matrix with precision and recall, then accuracy with its interval and
// balanced accuracy. Beyond max_matrix classes: rates per class and the 20 most frequent mistakes
// instead of the matrix. Names are escaped and cut; classes without samples are listed.
std::string confusion_table(const ConfusionMatrix& matrix, std::span<const std::string> classes,
                            int max_matrix = 12);

}  // namespace ft
