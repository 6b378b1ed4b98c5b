// Drawing, reading tables and weights of a run, norms of differences.
#include "tests/sim/program_runs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>
#include <sstream>

#include "apps/ftrun/network.h"
#include "tests/parity/drawn.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace ft::test {
namespace fs = std::filesystem;
namespace {

// The cells `first` to `last` of every row but the heading, as numbers.
std::vector<double> cells(const std::string& table, size_t first, size_t last) {
  std::vector<double> numbers;
  std::istringstream lines(table);
  std::string line, cell;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    for (size_t i = 0; i <= last && std::getline(row, cell, ','); ++i)
      if (i >= first) numbers.push_back(std::stod(cell));
  }
  return numbers;
}

// Of one tensor.
struct Difference {
  double distance = 0, unseen = 0;
};

Difference difference(const std::vector<float>& a, const std::vector<float>& b,
                      const std::vector<float>& start) {
  constexpr double kLastBit = std::numeric_limits<float>::epsilon();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double apart = 0, rounding = 0, moved_a = 0, moved_b = 0;
  const auto square = [](double v) { return v * v; };
  for (size_t i = 0; i < b.size(); ++i) {
    const double x = a[i], y = b[i], s = start[i];
    apart += square(x - y);
    rounding += square(kLastBit * y);
    moved_a += square(x - s);
    moved_b += square(y - s);
  }
  if (moved_a == 0 && moved_b == 0) return {};
  if (moved_a == 0 || moved_b == 0) return {kInfinity, 0};
  return {std::max(0.0, std::sqrt(apart) - std::sqrt(rounding)) / std::sqrt(moved_b),
          std::sqrt(rounding / moved_b)};
}

}  // namespace

void draw_images(const fs::path& to, int classes, int train) {
  const TempDir drawn;
  const ProcessResult r =
      run_process(FT_SIM_PROGRAM, {"demo-data", drawn / "demo", "--source-per-class", "1",
                                   "--target-per-class", std::to_string(train)});
  ASSERT_EQ(r.status, 0) << r.err;
  const fs::path target = drawn / "demo/target";
  for (const std::string split : {"train", "val"}) {
    std::set<fs::path> folders(fs::directory_iterator(target / split), fs::directory_iterator{});
    int classes_left = classes;
    for (const fs::path& folder : folders) {
      if (classes_left-- == 0) break;
      const std::set<fs::path> files(fs::directory_iterator(folder), fs::directory_iterator{});
      int left = split == "train" ? train : 1;
      const fs::path into = to / split / folder.filename();
      fs::create_directories(into);
      for (const fs::path& file : files)
        if (left-- > 0) fs::copy(file, into / file.filename());
    }
  }
}

RunResults read_results(const fs::path& run) {
  return {cells(read_file(run / "metrics.csv"), 3, 3),
          cells(read_file(run / "predictions.csv"), 5, 7), load_weights(run / "last.h5")};
}

RunDistance distance(const RunResults& a, const RunResults& b, const WeightFile& start) {
  RunDistance d;
  EXPECT_EQ(a.losses.size(), b.losses.size());
  EXPECT_EQ(a.predictions.size(), b.predictions.size());
  EXPECT_FALSE(b.losses.empty() || b.predictions.empty());
  for (size_t i = 0; i < std::min(a.losses.size(), b.losses.size()); ++i)
    d.losses = std::max(d.losses, std::abs(a.losses[i] - b.losses[i]) / std::abs(b.losses[i]));
  for (size_t i = 0; i < std::min(a.predictions.size(), b.predictions.size()); ++i)
    d.predictions = std::max(d.predictions, std::abs(a.predictions[i] - b.predictions[i]) /
                                                std::max(1.0, std::abs(b.predictions[i])));
  EXPECT_EQ(a.last.tensors.size(), b.last.tensors.size());
  for (const NamedTensor& t : b.last.tensors) {
    const Difference of = difference(a.last.find(t.name)->data, t.data, start.find(t.name)->data);
    if (of.distance > d.tensors) d.worst = t.name;
    if (of.unseen > d.unseen) d.least_seen = t.name;
    d.tensors = std::max(d.tensors, of.distance);
    d.unseen = std::max(d.unseen, of.unseen);
  }
  return d;
}

WeightFile drawn_weights(const std::string& model, int side, double gain) {
  const ModelInfo& info = find_model(model);
  const auto backend = make_backend({Device::Kind::ref, 0}, {1});
  const auto stream = backend->make_stream();
  app::Network network;
  network.model = build_model(info, 2, side, side);
  network.recipe = app::published_recipe(info, side, side);
  network.parameters = std::make_unique<ParameterSet>(network.model.graph, *backend);
  network.parameters->initialize(0, stream->ref());
  const auto& parameters = network.model.graph.parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    if (!parameters[i].name.starts_with(network.model.head + "."))
      network.parameters->set(static_cast<int>(i), parity::draw_parameter(parameters[i], gain),
                              stream->ref());
  return app::weight_file_of(network, stream->ref());
}

int64_t count_of(const fs::path& counts, const std::string& what) {
  std::istringstream lines(read_file(counts));
  int64_t number = 0;
  std::string text;
  while (lines >> number && std::getline(lines >> std::ws, text))
    if (text == what) return number;
  return 0;
}

}  // namespace ft::test
