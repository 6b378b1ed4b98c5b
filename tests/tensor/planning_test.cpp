// The backend that only plans against the CUDA backend, on a GPU or on the simulated device: the same outputs, the same
// memory, the same names of algorithms, for every op case in every layout.
#include "apps/plan/planning_backend.h"
#include "tests/support/op_test.h"

namespace ft::test {

class PlanningTest : public OpTest {
 protected:
  static constexpr PassKind kPasses[] = {PassKind::forward, PassKind::backward_data,
                                         PassKind::backward_weights};
  template <class PlanType>
  static void expect_same(const PlanType& planned, const PlanType& real) {
    EXPECT_EQ(planned.y_spec(), real.y_spec());
    EXPECT_EQ(planned.kept_bytes(), real.kept_bytes());
    if constexpr (requires { planned.aux_bytes(); }) {
      EXPECT_EQ(planned.aux_bytes(), real.aux_bytes());
      EXPECT_EQ(planned.workspace_bytes(), real.workspace_bytes());
      EXPECT_EQ(planned.describe(PassKind::forward), real.describe(PassKind::forward));
    }
  }

  // Without engines a convolution takes no workspace but its own.
  plan::PlanningBackend planning_;
};

// What cuDNN and cuBLASLt choose is theirs; what is known of it are bounds.
TEST_P(PlanningTest, products_take_what_they_take_on_cuda) {
  each_plan<Conv2dSpec>([&](const Conv2dSpec& spec) {
    const auto planned = planning_.make_conv2d(spec), real = backend().make_conv2d(spec);
    expect_same(*planned, *real);
    for (PassKind pass : kPasses)
      EXPECT_LE(planned->pass_workspace(pass), real->pass_workspace(pass));
  });
  each_plan<MatmulSpec>([&](const MatmulSpec& spec) {
    const auto planned = planning_.make_matmul(spec), real = backend().make_matmul(spec);
    expect_same(*planned, *real);
    for (PassKind pass : kPasses)
      EXPECT_GE(planned->pass_workspace(pass), real->pass_workspace(pass));
  });
}

TEST_P(PlanningTest, other_ops_take_what_they_take_on_cuda) {
  each_plan<Pool2dSpec>([&](const Pool2dSpec& spec) {
    expect_same(*planning_.make_pool2d(spec), *backend().make_pool2d(spec));
  });
  each_plan<AdaptiveAvgPool2dSpec>([&](const AdaptiveAvgPool2dSpec& spec) {
    expect_same(*planning_.make_adaptive_avg_pool2d(spec),
                *backend().make_adaptive_avg_pool2d(spec));
  });
  each_plan<BatchNorm2dSpec>([&](const BatchNorm2dSpec& spec) {
    expect_same(*planning_.make_batchnorm2d(spec), *backend().make_batchnorm2d(spec));
  });
  each_plan<LrnSpec>([&](const LrnSpec& spec) {
    expect_same(*planning_.make_lrn(spec), *backend().make_lrn(spec));
  });
}

std::vector<BackendCase> cuda_cases() {
  std::vector<BackendCase> found;
  for (const BackendCase& c : backend_cases({DType::f32, DType::bf16}))
    if (c.device.starts_with("cuda")) found.push_back(c);
  return found;
}

INSTANTIATE_TEST_SUITE_P(Backends, PlanningTest, testing::ValuesIn(cuda_cases()), param_name);

}  // namespace ft::test
