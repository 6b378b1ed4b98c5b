// The forecast of a run against sums made by hand.
#include "apps/ftrun/forecast.h"

#include <gtest/gtest.h>

namespace ft::test {
namespace {

using app::ForecastInput;
using app::RunForecast;

// 100 training and 40 validation images, 3 epochs; decoding 2 s, front 5 s, behind 1 s, a step four times that.
ForecastInput plain() {
  ForecastInput in;
  in.train = 100;
  in.val = in.all_val = 40;
  in.epochs = in.validations = 3;
  in.decode_s = 2;
  in.front_s = 5;
  in.behind_s = 1;
  in.step_ratio = 4;
  return in;
}

TEST(Forecast, without_anything_kept_every_epoch_costs_the_same) {
  const RunForecast f = app::forecast(plain());
  EXPECT_DOUBLE_EQ(f.first_epoch_s, 100 * (2 + 5 + 4));
  EXPECT_DOUBLE_EQ(f.later_epoch_s, f.first_epoch_s);
  EXPECT_DOUBLE_EQ(f.train_s, 3 * f.first_epoch_s);
  EXPECT_DOUBLE_EQ(f.val_s, 3 * 40 * (2 + 5 + 1));
  EXPECT_DOUBLE_EQ(f.final_s, 40 * (2 + 5 + 1));
}

TEST(Forecast, what_is_kept_is_paid_once) {
  ForecastInput in = plain();
  in.pixels_kept = true;
  EXPECT_DOUBLE_EQ(app::forecast(in).later_epoch_s, 100 * (5 + 4));
  in.train_stored = true;
  EXPECT_DOUBLE_EQ(app::forecast(in).first_epoch_s, 100 * (2 + 5 + 4));
  EXPECT_DOUBLE_EQ(app::forecast(in).train_s, 100 * (2 + 5 + 4) + 2 * 100 * 4);
  in.val_stored = true;
  EXPECT_DOUBLE_EQ(app::forecast(in).val_s, 40 * (2 + 5) + 3 * 40 * 1);
  EXPECT_DOUBLE_EQ(app::forecast(in).final_s, 40 * 1);
}

TEST(Forecast, the_end_looks_at_every_image_of_val_and_test) {
  ForecastInput in = plain();
  in.val_stored = true;
  in.val = 10;  // --val-subset: the other 30 have no features
  in.test = 7;
  EXPECT_DOUBLE_EQ(app::forecast(in).final_s, (40 + 7) * (2 + 5 + 1));
}

}  // namespace
}  // namespace ft::test
