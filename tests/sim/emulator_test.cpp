// Kernels on the simulated device: right ones are right in every order, planted bugs are found.
#include <cmath>

#include "tests/sim/bugs.h"
#include "tests/sim/sim_case.h"

namespace sim {
namespace {

constexpr int kBlocks = 4;

class EmulatorTest : public SimTest {
 protected:
  // The sums of the blocks that a kernel writes; what it was right to give if `factor` is 1.
  struct Sums {
    std::vector<float> got, want;
  };
  static Sums sums(Bug bug, float factor = 1) {
    const TestStream s;
    const Floats x(kBlocks * 128), out(kBlocks);
    Sums sums;
    for (size_t b = 0; b < kBlocks; ++b) {
      float want = 0;
      for (size_t i = 0; i < 128; ++i) want += factor * x[b * 128 + i];
      sums.want.push_back(want);
    }
    x.up(s);
    run_bug(bug, s, x.device(), out.device(), kBlocks);
    out.down(s);
    s.wait();
    for (size_t b = 0; b < kBlocks; ++b) sums.got.push_back(out[b]);
    return sums;
  }
  // Of kSeeds orders, those in which the result is wrong.
  static int wrong_orders(Bug bug, float factor = 1) {
    int wrong = 0;
    for (uint64_t i = 1; i <= kSeeds; ++i) {
      seed(i);
      const Sums s = sums(bug, factor);
      wrong += s.got != s.want ? 1 : 0;
    }
    return wrong;
  }
  // The report of a kernel that cannot go on, and the device that is lost to it.
  static std::string fault(Bug bug) {
    std::string report;
    {
      const TestStream s;
      const Floats x(kBlocks * 128), out(kBlocks * 128);
      x.up(s);
      run_bug(bug, s, x.device(), out.device(), kBlocks);
      EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorLaunchFailure);
      EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorLaunchFailure) << "the error stays";
      report = the_report();
    }
    reset({});
    return report;
  }
};

TEST_F(EmulatorTest, is_the_device_of_this_program) {
  cudaDeviceProp p;
  FT_CUDA(cudaGetDeviceProperties(&p, 0));
  EXPECT_STREQ(p.name, "simulated");
}

TEST_F(EmulatorTest, right_kernels_are_right_in_every_order) {
  const Sums natural = sums(Bug::none);
  EXPECT_EQ(natural.got, natural.want);
  EXPECT_EQ(wrong_orders(Bug::none), 0);
}

TEST_F(EmulatorTest, a_missing_barrier_gives_wrong_sums) {
  EXPECT_EQ(wrong_orders(Bug::missing_barrier), kSeeds);
}

TEST_F(EmulatorTest, shared_memory_that_is_reused_too_early_gives_wrong_sums) {
  EXPECT_GE(wrong_orders(Bug::shared_reused_too_early, 3), 10);
}

TEST_F(EmulatorTest, blocks_that_race_give_other_values) {
  std::vector<float> seen;
  for (uint64_t i = 1; i <= kSeeds; ++i) {
    seed(i);
    const TestStream s;
    const Floats x(kBlocks * 128), out(1);
    x.up(s);
    FT_CUDA(cudaMemsetAsync(out.device(), 0, out.bytes(), s));
    run_bug(Bug::race_between_blocks, s, x.device(), out.device(), kBlocks);
    out.down(s);
    s.wait();
    seen.push_back(out[0]);
  }
  EXPECT_NE(*std::ranges::min_element(seen), *std::ranges::max_element(seen));
}

TEST_F(EmulatorTest, threads_that_do_not_meet_are_named) {
  EXPECT_NE(fault(Bug::barrier_in_branch).find("88 have ended; 40 wait for the block at bugs.cu:"),
            std::string::npos);
  EXPECT_NE(fault(Bug::shuffle_after_return).find("20 wait for their warp at bugs.cu:"),
            std::string::npos);
}

// Under ASan the write itself ends the process.
TEST_F(EmulatorTest, writes_past_the_end_are_found) {
  const auto run = [](Bug bug) {
    collect_reports(false);
    const TestStream s;
    const Floats out(kBlocks * 128);
    run_bug(bug, s, out.device(), out.device(), kBlocks);
    s.wait();
  };
  EXPECT_DEATH(run(Bug::out_of_bounds), "byte 2048 of a block of 2048 bytes|use-after-poison");
  EXPECT_DEATH(run(Bug::shared_past_the_end), "written past its end|use-after-poison");
}

}  // namespace
}  // namespace sim
