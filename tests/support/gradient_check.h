// Gradient checks in tests: layers/gradient_check.h with a message that tells layer, tensor and
// element.
#pragma once

#include <gtest/gtest.h>

#include "layers/gradient_check.h"
#include "tensor/ref/ref.h"

namespace ft::test {

// EXPECT_TRUE(check_layer(layer, {.x = {{2, 3, 5, 4}}}));
inline testing::AssertionResult check_layer(const Layer& layer, const LayerCheckSetup& setup,
                                            const GradientCheckOptions& options = {}) {
  RefBackend backend;
  const std::vector<GradientCheck> checks = check_layer_gradients(layer, backend, setup, options);
  testing::AssertionResult result = all_passed(checks) && !checks.empty()
                                        ? testing::AssertionSuccess()
                                        : testing::AssertionFailure();
  result << layer.kind() << " (" << layer.settings() << ")";
  for (const Shape& x : setup.x) result << " " << x.str();
  for (const GradientCheck& c : checks) result << "\n  " << c.str();
  return result;
}

}  // namespace ft::test
