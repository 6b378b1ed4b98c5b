// Functions that kernels and host share, run on the host: random numbers and index arithmetic.
#include <gtest/gtest.h>

#include <cmath>

#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/philox.cuh"

namespace ft::test {
namespace {

TEST(CudaHostCode, random_blocks_hold_the_numbers_of_rng) {
  constexpr uint64_t kSeed = 0x123456789abcdefull, kEpoch = 7, kSample = uint64_t{3} << 32 | 11;
  const Rng rng(kSeed, RngPurpose::dropout, kEpoch, kSample);
  for (uint64_t block : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{1} << 33}) {
    const cuda::RandomBlock random =
        cuda::random_block(kSeed, RngPurpose::dropout, kEpoch, kSample, block);
    for (uint64_t k = 0; k < 4; ++k)
      EXPECT_EQ(random.word[k], rng.bits(4 * block + k)) << block << " " << k;
  }
}

TEST(CudaHostCode, placements_follow_the_layouts) {
  for (Layout layout : {Layout::plain, Layout::nhwc, Layout::nchw8c, Layout::nchw16c}) {
    const TensorSpec spec{{2, 11, 3, 5}, DType::f32, layout};
    const cuda::Placement place(spec);
    for (int64_t i = 0; i < spec.padded_elements(); ++i) {
      const cuda::Position p = place.position(i);
      EXPECT_EQ(place.offset(p), i) << spec.str();
      if (p.c < spec.shape.c()) EXPECT_EQ(spec.offset(p.n, p.c, p.h, p.w), i) << spec.str();
    }
  }
}

TEST(CudaHostCode, bf16_rounds_as_everywhere) {
  for (float v : {0.0f, 1.0f, 1.00390625f, 1.01171875f, -3.14159f, 1e-40f, 3.4e38f, INFINITY})
    EXPECT_EQ(cuda::to_float(cuda::from_float<cuda::Bf16>(v)), from_bf16(to_bf16(v))) << v;
  EXPECT_TRUE(std::isnan(cuda::to_float(cuda::from_float<cuda::Bf16>(NAN))));
}

TEST(CudaHostCode, relu_keeps_not_a_number) {
  EXPECT_EQ(cuda::relu(-1.0f), 0.0f);
  EXPECT_EQ(cuda::relu(2.0f), 2.0f);
  EXPECT_TRUE(std::isnan(cuda::relu(NAN)));
}

}  // namespace
}  // namespace ft::test
