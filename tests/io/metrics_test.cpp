// Rates, intervals and the table of a confusion matrix.
#include "io/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/io/folder_tree.h"

namespace ft::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Rows predicted: 8 1 0 / 2 9 0 / 0 0 0; class c has no samples.
ConfusionMatrix example() {
  ConfusionMatrix m(3);
  m.add(0, 0, 8);
  m.add(0, 1);
  m.add(1, 0, 2);
  m.add(1, 1, 9);
  return m;
}

}  // namespace

TEST(Metrics, the_lowest_of_equal_values_wins) {
  EXPECT_EQ(argmax(std::vector<float>{1, 3, 3, 2}), 1);
  EXPECT_EQ(argmax(std::vector<float>{0, 0}), 0);
  EXPECT_EQ(argmax(std::vector<float>{-1}), 0);
  EXPECT_EQ(argmax(std::vector<float>{kNan, -5, kNan, -4}), 3);
  EXPECT_EQ(argmax(std::vector<float>{kNan, kNan}), -1);
  EXPECT_EQ(argmax({}), -1);
  EXPECT_EQ(argmax(std::vector<float>{-INFINITY, -INFINITY}), 0);
}

TEST(Metrics, rows_are_predicted_and_columns_true) {
  const ConfusionMatrix m = example();
  EXPECT_EQ(m.count(1, 0), 2);
  EXPECT_EQ(m.samples(0), 10);
  EXPECT_EQ(m.predictions(0), 9);
  EXPECT_EQ(m.total(), 20);
  EXPECT_EQ(m.correct(), 17);
  EXPECT_DOUBLE_EQ(*m.accuracy(), 0.85);
  EXPECT_DOUBLE_EQ(*m.recall(0), 0.8);
  EXPECT_DOUBLE_EQ(*m.precision(0), 8.0 / 9);
  EXPECT_DOUBLE_EQ(*m.balanced_accuracy(), (0.8 + 0.9) / 2);
}

// I12
TEST(Metrics, what_has_no_samples_is_undefined) {
  const ConfusionMatrix m = example();
  EXPECT_FALSE(m.recall(2));
  EXPECT_FALSE(m.precision(2));
  ConfusionMatrix never_right(2);
  never_right.add(1, 0, 4);
  EXPECT_DOUBLE_EQ(*never_right.recall(0), 0);
  EXPECT_DOUBLE_EQ(*never_right.precision(1), 0);
  EXPECT_FALSE(never_right.precision(0));
  EXPECT_DOUBLE_EQ(*never_right.balanced_accuracy(), 0);
  const ConfusionMatrix empty(2);
  EXPECT_FALSE(empty.accuracy());
  EXPECT_FALSE(empty.balanced_accuracy());
}

TEST(Metrics, classes_out_of_range_are_refused) {
  ConfusionMatrix m(3);
  EXPECT_HAS(error_of([&] { m.add(3, 0); }), "class 3 predicted, 0 true, of 3 classes");
  EXPECT_HAS(error_of([&] { m.add(0, -1); }), "E1001");
  EXPECT_HAS(error_of([&] { m.add(-1, 0); }), "E1001");
  EXPECT_HAS(error_of([&] { m.add(ConfusionMatrix(2)); }), "E1001");
  EXPECT_HAS(error_of([] { ConfusionMatrix(0); }), "E1001");
}

TEST(Metrics, matrices_add_up) {
  ConfusionMatrix m = example();
  m.add(example());
  EXPECT_EQ(m.count(1, 1), 18);
  EXPECT_EQ(m.total(), 40);
}

TEST(Metrics, the_mean_weighs_batches_by_their_samples) {
  RunningMean mean;
  EXPECT_FALSE(mean.mean());
  mean.add(1.0, 30);
  mean.add(4.0, 10);
  mean.add(99.0, 0);
  EXPECT_DOUBLE_EQ(*mean.mean(), 1.75);
  EXPECT_EQ(mean.samples(), 40);
}

TEST(Metrics, the_mean_keeps_what_a_plain_sum_loses) {
  RunningMean mean;
  mean.add(1e16, 1);
  for (int i = 0; i < 1000; ++i) mean.add(1.0, 1);
  mean.add(-1e16, 1);
  EXPECT_DOUBLE_EQ(*mean.mean(), 1000.0 / 1002);
}

// Values by the formula in exact arithmetic, and the published example of 81 of 263 (Newcombe 1998:
// 0.2553 to 0.3662).
TEST(Metrics, wilson_interval_gives_published_values) {
  EXPECT_NEAR(wilson_interval(81, 263)->low, 0.2553, 5e-5);
  EXPECT_NEAR(wilson_interval(81, 263)->high, 0.3662, 5e-5);
  EXPECT_NEAR(wilson_interval(15, 148)->low, 0.0624, 5e-5);
  EXPECT_NEAR(wilson_interval(15, 148)->high, 0.1605, 5e-5);
  EXPECT_EQ(wilson_interval(0, 20)->low, 0);
  EXPECT_NEAR(wilson_interval(0, 20)->high, 0.1611, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29)->low, 0.0061, 5e-5);
  EXPECT_NEAR(wilson_interval(1, 29)->high, 0.1718, 5e-5);
  EXPECT_EQ(wilson_interval(29, 29)->high, 1);
  EXPECT_NEAR(wilson_interval(29, 29)->low, 1 - 0.1170, 5e-5);
  EXPECT_FALSE(wilson_interval(0, 0));
  EXPECT_HAS(error_of([] { wilson_interval(3, 2); }), "E1001");
}

TEST(Metrics, percentages) {
  EXPECT_EQ(percent(0.12345), "12.3 %");
  EXPECT_EQ(percent(1.0), "100.0 %");
  EXPECT_EQ(percent(std::nullopt), "undefined");
  EXPECT_EQ(percent(std::nullopt, "no samples"), "no samples");
}

TEST(Metrics, the_table_is_aligned_and_says_what_is_missing) {
  const std::vector<std::string> classes = {"ants", "bees", "\xe7\x8c\xab\n"};
  EXPECT_EQ(confusion_table(example(), classes),
            "predicted \\ true        ants        bees      猫\\x0a   precision\n"
            "ants                       8           1           0      88.9 %\n"
            "bees                       2           9           0      81.8 %\n"
            "猫\\x0a                     0           0           0   undefined\n"
            "recall                80.0 %      90.0 %  no samples\n"
            "accuracy 85.0 % (17 of 20, 95 % interval 64.0 to 94.8 %), balanced 85.0 %\n"
            "no samples, left out of balanced accuracy: 猫\\x0a\n");
  EXPECT_HAS(confusion_table(ConfusionMatrix(3), classes), "\naccuracy: no samples\n");
}

TEST(Metrics, many_classes_give_rates_and_mistakes) {
  ConfusionMatrix m = example();
  const std::vector<std::string> classes = {"ants", "bees", std::string(40, 'x')};
  EXPECT_EQ(confusion_table(m, classes, 2),
            "class                      samples      recall   precision\n"
            "ants                            10      80.0 %      88.9 %\n"
            "bees                            10      90.0 %      81.8 %\n"
            "xxxxxxxxxxxxxxxxxxxxxxx…         0  no samples   undefined\n"
            "most frequent mistakes:\n"
            "       2 x ants taken for bees\n"
            "       1 x bees taken for ants\n"
            "accuracy 85.0 % (17 of 20, 95 % interval 64.0 to 94.8 %), balanced 85.0 %\n"
            "no samples, left out of balanced accuracy: " +
                std::string(40, 'x') + "\n");
  EXPECT_HAS(error_of([&] { confusion_table(m, std::vector<std::string>{"a"}); }), "E1001");
}

}  // namespace ft::test
