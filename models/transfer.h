// From a published network to a fine-tuning task: what is frozen, how fast the rest learns.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "models/model.h"
#include "tensor/ops/batchnorm2d.h"

namespace ft {

struct TransferOptions {
  bool pretrained = false;  // weights are loaded: freeze all but the head unless told otherwise
  std::string freeze, unfreeze;  // patterns; unfreeze is applied last
  double head_lr_factor = 20;  // rate factor of the head's weight and bias when weights are loaded
  std::vector<std::pair<std::string, std::pair<double, double>>>
      lr_factors;  // pattern -> weight, bias
  std::vector<std::pair<std::string, std::pair<double, double>>> decay_factors;
  std::optional<BnMode> bn;
  bool matlab_factors = false;  // the original's per-variant factors (AlexNet biases 2, v1 …)
};

// Sets trainable, lr_factor and decay_factor of every parameter of the model. Throws Error 2022 for a
// pattern that matches nothing and Error 2024 if nothing is left to train.
void apply_transfer(Model& model, const TransferOptions& options);

}  // namespace ft
