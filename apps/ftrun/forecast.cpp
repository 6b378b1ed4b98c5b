// Sums of images times seconds.
#include "apps/ftrun/forecast.h"

namespace ft::app {

RunForecast forecast(const ForecastInput& in) {
  RunForecast f;
  const double behind = in.train * in.behind_s * in.step_ratio;
  f.first_epoch_s = behind + in.train * (in.decode_s + in.front_s);
  f.later_epoch_s = behind;
  if (!in.train_stored) f.later_epoch_s += in.train * in.front_s;
  if (!in.train_stored && !in.pixels_kept) f.later_epoch_s += in.train * in.decode_s;
  f.train_s = f.first_epoch_s + f.later_epoch_s * static_cast<double>(in.epochs - 1);
  const double validations = static_cast<double>(in.validations);
  const double from_pixels = in.val_stored ? 1 : validations;
  f.val_s = in.val * ((in.decode_s + in.front_s) * from_pixels + in.behind_s * validations);
  const double whole = in.decode_s + in.front_s + in.behind_s;
  const bool stored = in.val_stored && in.val == in.all_val;
  f.final_s = in.all_val * (stored ? in.behind_s : whole) + in.test * whole;
  return f;
}

}  // namespace ft::app
