// Tables, curves, confusion matrix and run.toml of a run.
#include "apps/ftrun/results.h"

#include <fmt/format.h>

#include "apps/ftrun/progress.h"
#include "io/atomic_file.h"

namespace ft::app {

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

ResultWriter::ResultWriter(const RunFolder* folder, const std::vector<std::string>& classes)
    : folder_(folder), classes_(classes) {}

void ResultWriter::write(const std::string& name, const std::string& bytes, const std::string& what) {
  write_atomically(*folder_ / name, bytes);
  files_.emplace_back(name, what);
}

void ResultWriter::add_split(const Split& split, std::vector<ImageResult> results) {
  splits_.push_back({&split, std::move(results)});
}

ConfusionMatrix ResultWriter::matrix_of(const SplitResults& r) const {
  ConfusionMatrix matrix(static_cast<int>(classes_.size()));
  for (const ImageResult& result : r.results) matrix.add(result.predicted, result.label);
  return matrix;
}

void ResultWriter::write_predictions() {
  std::vector<ft::Prediction> rows;
  for (const SplitResults& part : splits_)
    for (const ImageResult& r : part.results)
      rows.push_back({part.split->name, part.split->samples[static_cast<size_t>(r.sample)].path,
                      classes_[static_cast<size_t>(r.label)], classes_[static_cast<size_t>(r.predicted)],
                      static_cast<float>(r.p[static_cast<size_t>(r.predicted)]),
                      static_cast<float>(r.p[static_cast<size_t>(r.label)]), static_cast<float>(r.loss)});
  write("predictions.csv", predictions_csv(rows), "one row an image");
}

void ResultWriter::write_tables(const MetricsLog& log) {
  write_predictions();
  write("metrics.csv", log.csv(), "loss and accuracy over the run");
  write("metrics.jsonl", log.jsonl(), "the same, one JSON object a line");
}

void ResultWriter::print_and_write_confusion(const std::string&) {
  for (const SplitResults& part : splits_)
    fmt::print("\n{} ({} images)\n{}", part.split->name, part.results.size(), confusion_table(matrix_of(part), classes_));
}

void ResultWriter::list_files() const {
  fmt::print("\nfiles in {}\n", escape(folder_->path().string()));
  for (const auto& [name, what] : files_) fmt::print("  {:<18} {}\n", name, what);
}


}  // namespace ft::app
