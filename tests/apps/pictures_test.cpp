// What is chosen for the sheets of pictures.
#include "apps/ftrun/pictures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>

#include "apps/ftrun/progress.h"
#include "apps/ftrun/results.h"

namespace ft::app {
namespace {

std::vector<Sample> samples_of(const std::vector<int>& counts) {
  std::vector<Sample> samples;
  for (size_t c = 0; c < counts.size(); ++c)
    for (int i = 0; i < counts[c]; ++i) {
      Sample s;
      s.label = static_cast<int32_t>(c);
      samples.push_back(s);
    }
  return samples;
}

std::map<int, int> labels_of(const std::vector<Sample>& samples,
                             const std::vector<size_t>& chosen) {
  std::map<int, int> counts;
  for (size_t i : chosen) ++counts[samples[i].label];
  return counts;
}

TEST(Sheet, a_rare_class_is_on_it_and_the_rest_is_shared_evenly) {
  const std::vector<Sample> samples = samples_of({1000, 2, 500});
  const std::vector<size_t> chosen = choose_by_class(samples, 24, 7);
  EXPECT_EQ(labels_of(samples, chosen), (std::map<int, int>{{0, 11}, {1, 2}, {2, 11}}));
  EXPECT_TRUE(std::ranges::is_sorted(chosen));
  EXPECT_EQ(std::ranges::adjacent_find(chosen), chosen.end());
  EXPECT_EQ(chosen, choose_by_class(samples, 24, 7));
  EXPECT_NE(chosen, choose_by_class(samples, 24, 8));
}

TEST(Sheet, more_classes_than_places_and_fewer_images_than_places) {
  const std::vector<Sample> many = samples_of(std::vector<int>(40, 3));
  for (const auto& [label, count] : labels_of(many, choose_by_class(many, 24, 0)))
    EXPECT_EQ(count, 1) << label;
  EXPECT_EQ(choose_by_class(many, 24, 0).size(), 24u);
  const std::vector<Sample> few = samples_of({2, 1});
  EXPECT_EQ(choose_by_class(few, 24, 0), (std::vector<size_t>{0, 1, 2}));
}

// What the matrix of a network says that has only one answer, and of one that has two.
TEST(Confusion, a_network_with_one_answer_is_said_to_have_learned_nothing) {
  Split split;
  split.name = "val";
  std::vector<ImageResult> results(4);
  for (size_t i = 0; i < results.size(); ++i) {
    split.samples.push_back({"x", static_cast<int>(i % 2)});
    results[i] = {static_cast<int64_t>(i), static_cast<int>(i % 2), 1, 0, {0, 1}};
  }
  const auto printed = [&] {
    ResultWriter writer(nullptr, {"ants", "bees"});
    writer.add_split(split, results);
    testing::internal::CaptureStdout();
    writer.print_and_write_confusion("none");
    std::fflush(stdout);
    return testing::internal::GetCapturedStdout();
  };
  const std::string all_bees = printed();
  EXPECT_NE(all_bees.find("every image of val is taken for bees"), std::string::npos) << all_bees;
  results[0].predicted = 0;
  EXPECT_EQ(printed().find("every image"), std::string::npos);
}

TEST(Text, a_loss_that_has_run_away_is_short) {
  EXPECT_EQ(loss_text(0.69314718), "0.6931");
  EXPECT_EQ(loss_text(4.8e31), "4.8e+31");
  EXPECT_EQ(loss_text(std::numeric_limits<double>::quiet_NaN()), "nan");
}

}  // namespace
}  // namespace ft::app
