// The tables of a run: predictions.csv, skipped.csv, metrics.csv and metrics.jsonl. Built in memory; whoever
// owns the run folder writes them. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "io/csv.h"
#include "io/folder_walk.h"
#include "io/jsonl.h"
#include "tensor/error.h"

namespace ft {

// What a network said of one image.
struct Prediction {
  std::string split, file;
  std::string true_class, predicted_class;
  float p_predicted = 0;  // probability of the predicted class
  float p_true = 0;       // and of the true one
  float loss = 0;         // -log of the latter, from the logits
};

// Columns split,file,true_class,predicted_class,correct,p_predicted,p_true,loss; a row an image, in
// the order given; correct is 1 or 0.
std::string predictions_csv(std::span<const Prediction> predictions);

// Columns file,reason,error; a row a bad image that a run left out; error is the number that
// docs/errors.md explains.
std::string skipped_csv(std::span<const BadFile> skipped);

// What was measured at one step on one split.
struct MetricsRow {
  int64_t epoch = 1;  // from 1: the one that the step belongs to
  int64_t step = 0;   // updates completed
  std::string split;  // train: mean since the last row; val, test: the whole split
  std::optional<double> loss, accuracy;
  std::optional<double> rate;  // learning rate of the last update; none for val and test
  double images_per_s = 0;
  double seconds = 0;  // since the start of the run
};

// Both forms of the same rows, columns epoch,step,split,loss,accuracy,rate,images_per_s,seconds.
class MetricsLog {
 public:
  MetricsLog();
  void add(const MetricsRow& row);
  // The end of a run that failed: a line of metrics.jsonl alone, with the fields of the error line
  // on stderr: step, seconds, error (its number), where, seen, remedy.
  void add_failure(int64_t step, double seconds, const Error& error);
  const std::string& csv() const { return csv_.text(); }
  const std::string& jsonl() const { return jsonl_.text(); }

 private:
  CsvWriter csv_;
  JsonLines jsonl_;
};

}  // namespace ft
