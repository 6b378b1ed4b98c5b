// Tables, curves, confusion matrix and run.toml of a run.
#include "apps/ftrun/results.h"

#include <fmt/format.h>

#include <filesystem>

#include "apps/ftrun/pictures.h"
#include "io/atomic_file.h"
#include "io/report.h"

namespace ft::app {

bool has_word(const std::string& list, const std::string& word) {
  return ("," + list + ",").find("," + word + ",") != std::string::npos;
}

ResultWriter::ResultWriter(const RunFolder* folder, const std::vector<std::string>& classes)
    : folder_(folder), classes_(classes) {}

void ResultWriter::write(const std::string& name, std::span<const std::byte> bytes,
                         const std::string& what) {
  write_atomically(*folder_ / name, bytes);
  files_.emplace_back(name, what);
}

void ResultWriter::write(const std::string& name, const std::string& text,
                         const std::string& what) {
  write(name, std::as_bytes(std::span(text)), what);
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
      rows.push_back(
          {part.split->name, part.split->samples[static_cast<size_t>(r.sample)].path,
           classes_[static_cast<size_t>(r.label)], classes_[static_cast<size_t>(r.predicted)],
           static_cast<float>(r.p[static_cast<size_t>(r.predicted)]),
           static_cast<float>(r.p[static_cast<size_t>(r.label)]), static_cast<float>(r.loss)});
  write("predictions.csv", predictions_csv(rows), "one row an image");
}

void ResultWriter::write_tables(const MetricsLog& log) {
  write_predictions();
  write_metrics(log);
}

void ResultWriter::write_skipped(std::span<const BadFile> skipped) {
  write("skipped.csv", skipped_csv(skipped), "bad images that were left out, and why");
}

void ResultWriter::write_metrics(const MetricsLog& log) {
  write("metrics.csv", log.csv(), "loss and accuracy over the run");
  write("metrics.jsonl", log.jsonl(), "the same, one JSON object a line");
}

void ResultWriter::print_and_write_confusion(const std::string& print) {
  for (const SplitResults& part : splits_)
    fmt::print("\n{} ({} images)\n{}", part.split->name, part.results.size(),
               confusion_table(matrix_of(part), classes_));
  for (const SplitResults& part : splits_) note_single_class(part);
  if (folder_ != nullptr && has_word(print, "confusion")) write_confusion_picture(splits_.back());
}

// A network that always says the same has an accuracy too, that of guessing.
void ResultWriter::note_single_class(const SplitResults& part) const {
  const ConfusionMatrix matrix = matrix_of(part);
  int said = 0, last = 0;
  for (int p = 0; p < matrix.classes(); ++p)
    if (matrix.predictions(p) > 0) {
      ++said;
      last = p;
    }
  if (said == 1 && matrix.classes() > 1)
    fmt::print(
        "note        every image of {} is taken for {}: the network has not learned to tell the "
        "classes apart\n",
        part.split->name, escape(classes_[static_cast<size_t>(last)]));
}

void ResultWriter::write_confusion_picture(const SplitResults& part) {
  const ConfusionMatrix matrix = matrix_of(part);
  std::vector<int64_t> counts;
  for (int p = 0; p < matrix.classes(); ++p)
    for (int t = 0; t < matrix.classes(); ++t) counts.push_back(matrix.count(p, t));
  write("confusion.svg", confusion_svg(classes_, counts),
        "confusion matrix of " + part.split->name);
}

void ResultWriter::write_curves(const CurveData& curves) {
  TrainingCurves picture;
  picture.title = "Training";
  const auto fill = [](const std::vector<CurvePoint>& points, Curve& loss, Curve& accuracy) {
    for (const CurvePoint& p : points) {
      loss.x.push_back(p.x);
      loss.y.push_back(p.loss);
      accuracy.x.push_back(p.x);
      accuracy.y.push_back(p.accuracy);
    }
  };
  fill(curves.train, picture.train_loss, picture.train_accuracy);
  fill(curves.val, picture.val_loss, picture.val_accuracy);
  write("curves.svg", curves_svg(picture), "loss and accuracy of training and validation");
}

void ResultWriter::write_pictures(const std::string& print, const Dataset& data, Network& network,
                                  Backend& backend, const NumericsPolicy& numerics, uint64_t seed,
                                  StreamRef s) {
  const auto write_png = [&](const std::string& name, const std::vector<uint8_t>& png,
                             const std::string& what) {
    write(name, std::as_bytes(std::span(png)), what);
  };
  if (const Split* train = data.find("train"); train != nullptr && has_word(print, "train-set"))
    write_png("train-set.png", draw_samples("Training images", train->samples, network, seed),
              "sample training images");
  const SplitResults& part = splits_.back();
  const std::vector<Sample>& samples = part.split->samples;
  if (has_word(print, "test-set"))
    write_png("test-set.png",
              draw_judged("Images of " + part.split->name, samples, part.results, network, seed),
              "sample images of " + part.split->name + " with what the network says");
  if (!has_word(print, "gradcam")) return;
  GradCam cam(network, backend, numerics, "", CamTarget::logit);
  const std::string note = cam.note();
  write_png("gradcam.png",
            draw_gradcam(note.empty() ? "Grad-CAM: what speaks for the predicted class"
                                      : "Grad-CAM: " + note,
                         samples, part.results, network, cam, seed, s),
            note.empty() ? "where the network looked: hits and misses" : note);
}

void ResultWriter::write_run(const RunConfig& record) {
  write("run.toml", record.to_toml(), "all choices and results of this run");
}

void ResultWriter::list_files() const {
  fmt::print("\nfiles in {}\n", escape(folder_->path().string()));
  for (const char* name : {"best.h5", "last.h5"})
    if (std::filesystem::exists(*folder_ / name))
      fmt::print("  {:<18} weights of the {}\n", name,
                 name[0] == 'b' ? "best validation" : "last step");
  for (const auto& [name, what] : files_) fmt::print("  {:<18} {}\n", name, what);
}

}  // namespace ft::app
