// Rates and intervals. The text table is in metrics_table.cpp.
#include "io/metrics.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "tensor/error.h"

namespace ft {
namespace {

std::optional<double> ratio(int64_t part, int64_t whole) {
  if (whole == 0) return std::nullopt;
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

int argmax(std::span<const float> values) {
  int best = -1;
  for (size_t i = 0; i < values.size(); ++i)
    if (!std::isnan(values[i]) && (best < 0 || values[i] > values[static_cast<size_t>(best)]))
      best = static_cast<int>(i);
  return best;
}

ConfusionMatrix::ConfusionMatrix(int classes) : classes_(classes) {
  FT_CHECK(classes >= 1, "a confusion matrix has at least one class");
  counts_.resize(static_cast<size_t>(classes) * static_cast<size_t>(classes));
}

size_t ConfusionMatrix::at(int predicted, int truth) const {
  FT_CHECK(predicted >= 0 && predicted < classes_ && truth >= 0 && truth < classes_,
           fmt::format("class {} predicted, {} true, of {} classes", predicted, truth, classes_));
  return static_cast<size_t>(predicted) * static_cast<size_t>(classes_) +
         static_cast<size_t>(truth);
}

void ConfusionMatrix::add(int predicted, int truth, int64_t count) {
  counts_[at(predicted, truth)] += count;
}

void ConfusionMatrix::add(const ConfusionMatrix& other) {
  FT_CHECK(other.classes_ == classes_, "confusion matrices of the same classes");
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
}

int64_t ConfusionMatrix::count(int predicted, int truth) const {
  return counts_[at(predicted, truth)];
}

int64_t ConfusionMatrix::samples(int truth) const {
  int64_t sum = 0;
  for (int p = 0; p < classes_; ++p) sum += count(p, truth);
  return sum;
}

int64_t ConfusionMatrix::predictions(int predicted) const {
  int64_t sum = 0;
  for (int t = 0; t < classes_; ++t) sum += count(predicted, t);
  return sum;
}

int64_t ConfusionMatrix::total() const {
  int64_t sum = 0;
  for (const int64_t count : counts_) sum += count;
  return sum;
}

int64_t ConfusionMatrix::correct() const {
  int64_t sum = 0;
  for (int c = 0; c < classes_; ++c) sum += count(c, c);
  return sum;
}

std::optional<double> ConfusionMatrix::accuracy() const { return ratio(correct(), total()); }

std::optional<double> ConfusionMatrix::recall(int truth) const {
  return ratio(count(truth, truth), samples(truth));
}

std::optional<double> ConfusionMatrix::precision(int predicted) const {
  return ratio(count(predicted, predicted), predictions(predicted));
}

std::optional<double> ConfusionMatrix::balanced_accuracy() const {
  double sum = 0;
  int64_t present = 0;
  for (int c = 0; c < classes_; ++c)
    if (const auto rate = recall(c)) {
      sum += *rate;
      ++present;
    }
  if (present == 0) return std::nullopt;
  return sum / static_cast<double>(present);
}

void RunningMean::add(double mean_of_batch, int64_t samples) {
  FT_CHECK(samples >= 0, "a number of samples is not negative");
  if (samples == 0) return;
  const double value = mean_of_batch * static_cast<double>(samples);
  const double sum = sum_ + value;
  lost_ += std::abs(sum_) >= std::abs(value) ? (sum_ - sum) + value : (value - sum) + sum_;
  sum_ = sum;
  samples_ += samples;
}

std::optional<double> RunningMean::mean() const {
  if (samples_ == 0) return std::nullopt;
  return (sum_ + lost_) / static_cast<double>(samples_);
}

std::optional<Interval> wilson_interval(int64_t correct, int64_t total) {
  FT_CHECK(correct >= 0 && correct <= total, "correct samples are part of the total");
  if (total == 0) return std::nullopt;
  // (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), z the 97.5 % point of the normal.
  const double z = 1.959963984540054, n = static_cast<double>(total);
  const double p = static_cast<double>(correct) / n;
  const double middle = p + z * z / (2 * n);
  const double half = z * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const double scale = 1 + z * z / n;
  // The ends at 0 and 1 are exact; rounding must not move them.
  return Interval{correct == 0 ? 0.0 : (middle - half) / scale,
                  correct == total ? 1.0 : (middle + half) / scale};
}

std::string percent(std::optional<double> rate, const char* otherwise) {
  return rate ? fmt::format("{:.1f} %", 100 * *rate) : otherwise;
}

}  // namespace ft
