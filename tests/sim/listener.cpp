// Watches every test of a program that runs on the simulated device: none may leave memory or handles behind, or have
// written past the end of a block.
#include <gtest/gtest.h>

#include "tests/sim/sim.h"

namespace sim {
namespace {

class Watch final : public testing::EmptyTestEventListener {
  void OnTestEnd(const testing::TestInfo&) override {
    check_memory();
    auto now = counts();
    for (const char* what : {"blocks of memory", "handles"})
      EXPECT_EQ(now[what], 0) << what << " that the test left on the simulated device";
  }
};

[[maybe_unused]] const bool added =
    (testing::UnitTest::GetInstance()->listeners().Append(new Watch), true);

}  // namespace
}  // namespace sim
