// The device that the flags ask for, with everything that they say of how it computes.
#pragma once

#include <memory>
#include <string>

#include "apps/ftrun/options.h"
#include "apps/plan/plan_file.h"
#include "tensor/backend.h"

namespace ft::app {

struct OpenDevice : ChosenBackend {
  std::shared_ptr<plan::PlanFile> plans;  // nullptr: none are read or kept
};

// `keeps_plans`: plans that are chosen here are kept, to be written. Throws as choose_backend, and Error 2053, 206x or
// 3025 for a file of plans.
OpenDevice open_device(const CommonOptions& options, bool keeps_plans = false);

// What --precision and --fast say; throws Error 3021 if the backend has no such products.
NumericsPolicy numerics_of(const CommonOptions& options, const Backend& backend);

}  // namespace ft::app
