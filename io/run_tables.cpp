// Columns of the tables of a run.
#include "io/run_tables.h"

#include <array>

namespace ft {
namespace {

constexpr std::array<std::string_view, 8> kPredictionColumns = {
    "split", "file", "true_class", "predicted_class", "correct", "p_predicted", "p_true", "loss"};
constexpr std::array<std::string_view, 3> kSkippedColumns = {"file", "reason", "error"};
constexpr std::array<std::string_view, 8> kMetricsColumns = {
    "epoch", "step", "split", "loss", "accuracy", "rate", "images_per_s", "seconds"};

}  // namespace

std::string predictions_csv(std::span<const Prediction> predictions) {
  CsvWriter csv(kPredictionColumns);
  for (const Prediction& p : predictions) {
    csv.cell(p.split).cell(p.file).cell(p.true_class).cell(p.predicted_class);
    csv.cell(p.true_class == p.predicted_class ? 1 : 0);
    csv.cell(p.p_predicted).cell(p.p_true).cell(p.loss).end_row();
  }
  return csv.text();
}

std::string skipped_csv(std::span<const BadFile> skipped) {
  CsvWriter csv(kSkippedColumns);
  for (const BadFile& file : skipped) {
    csv.cell(file.path).cell(file.reason).cell(file.number).end_row();
  }
  return csv.text();
}

MetricsLog::MetricsLog() : csv_(kMetricsColumns) {}

void MetricsLog::add(const MetricsRow& row) {
  csv_.cell(row.epoch).cell(row.step).cell(row.split).cell(row.loss).cell(row.accuracy);
  csv_.cell(row.rate).cell(row.images_per_s).cell(row.seconds).end_row();
  jsonl_.field("epoch", row.epoch).field("step", row.step).field("split", row.split);
  jsonl_.field("loss", row.loss).field("accuracy", row.accuracy).field("rate", row.rate);
  jsonl_.field("images_per_s", row.images_per_s).field("seconds", row.seconds).end_line();
}

void MetricsLog::add_failure(int64_t step, double seconds, const Error& error) {
  jsonl_.field("step", step).field("seconds", seconds).field("error", error.number());
  jsonl_.field("where", error.where()).field("seen", error.seen());
  jsonl_.field("remedy", error.remedy()).end_line();
}

}  // namespace ft
