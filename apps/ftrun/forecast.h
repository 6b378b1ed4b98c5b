// How long a run will take, from what was measured before its first step. Pure functions.
#pragma once

#include <cstdint>

namespace ft::app {

// What the forecast is made of. Seconds are of one image.
struct ForecastInput {
  double train = 0, val = 0;     // images an epoch, and a validation
  double all_val = 0, test = 0;  // images of the final evaluation
  int64_t epochs = 1, validations = 1;
  double decode_s = 0;                            // read and decode
  double front_s = 0, behind_s = 0;               // forward, up to the cut and behind it
  double step_ratio = 1;                          // of a step to the forward pass behind the cut
  bool train_stored = false, val_stored = false;  // features are kept
  bool pixels_kept = false;                       // decoded training images are kept
};

// Seconds, before step 1, of all that comes behind the header but files and pictures.
struct RunForecast {
  double first_epoch_s = 0, later_epoch_s = 0;
  double train_s = 0, val_s = 0;  // of the whole run
  double final_s = 0;             // of the evaluation of the best network
};

// The first pass over what is kept computes all of it. Decoding shares the cores with the network, so that their
// times add up.
RunForecast forecast(const ForecastInput& in);

}  // namespace ft::app
