// What a run leaves for people: tables, curves, confusion matrix, pictures, run.toml. Every file goes through
// io/atomic_file. Used by one thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "apps/ftrun/evaluator.h"
#include "io/metrics.h"
#include "io/run_config.h"
#include "io/run_folder.h"
#include "io/run_tables.h"

namespace ft::app {

struct CurvePoint {
  double x = 0, loss = 0, accuracy = 0;  // x in epochs
};
struct CurveData {
  std::vector<CurvePoint> train, val;
};

class ResultWriter {
 public:
  // folder null: nothing is written, the matrix is printed all the same.
  ResultWriter(const RunFolder* folder, const std::vector<std::string>& classes);

  // Results of all images of a split; the last one added is what pictures and matrix show.
  void add_split(const Split& split, std::vector<ImageResult> results);

  void write_tables(const MetricsLog& log);   // predictions.csv, metrics.csv, metrics.jsonl
  void write_metrics(const MetricsLog& log);  // only the last two
  void write_skipped(std::span<const BadFile> skipped);  // skipped.csv
  void write_curves(const CurveData& curves);
  void print_and_write_confusion(const std::string& print);
  // train-set.png, test-set.png, gradcam.png as far as `print` names them.
  void write_pictures(const std::string& print, const Dataset& data, Network& network,
                      Backend& backend, const NumericsPolicy& numerics, uint64_t seed, StreamRef s);
  void write_run(const RunConfig& record);  // run.toml
  void list_files() const;

  // Only predictions.csv; for evaluate, which trains nothing.
  void write_predictions();

 private:
  struct SplitResults {
    const Split* split;
    std::vector<ImageResult> results;
  };
  void write(const std::string& name, std::span<const std::byte> bytes, const std::string& what);
  void write(const std::string& name, const std::string& text, const std::string& what);
  void note_single_class(const SplitResults& part) const;
  void write_confusion_picture(const SplitResults& part);
  ConfusionMatrix matrix_of(const SplitResults& r) const;

  const RunFolder* folder_;
  std::vector<std::string> classes_;
  std::vector<SplitResults> splits_;
  std::vector<std::pair<std::string, std::string>> files_;  // name, what it is
};

// Whether `word` is in the comma-separated `list`.
bool has_word(const std::string& list, const std::string& word);

}  // namespace ft::app
