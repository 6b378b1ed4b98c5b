// Every layer against central differences, on odd shapes; and the checker against layers that are
// wrong.
#include <gtest/gtest.h>

#include <cmath>

#include "layers/batchnorm2d.h"
#include "layers/conv2d.h"
#include "layers/linear.h"
#include "layers/lrn.h"
#include "layers/pointwise.h"
#include "layers/pool2d.h"
#include "layers/softmax_cross_entropy.h"
#include "tests/support/gradient_check.h"

namespace ft::test {

TEST(Gradient, conv2d) {
  struct Case {
    Conv2dConfig config;
    Shape x;
  };
  const Case cases[] = {
      {{.out = 5, .kernel = 3, .stride = 1, .pad = 1}, {2, 3, 5, 4}},
      {{.out = 4, .kernel = 3, .stride = 2, .pad = 1, .bias = false}, {1, 5, 7, 6}},
      {{.out = 6, .kernel = 1, .stride = 2, .pad = 0, .bias = false}, {3, 4, 5, 3}},
      {{.out = 6, .kernel = 5, .stride = 1, .pad = 2, .groups = 2}, {1, 4, 6, 5}},
      {{.out = 3, .kernel = 3, .stride = 1, .pad = 1, .groups = 3}, {2, 3, 4, 3}},
      {{.out = 2, .kernel = 7, .stride = 2, .pad = 3, .bias = false}, {1, 3, 9, 8}},
      {{.out = 3, .kernel = 11, .stride = 4, .pad = 2}, {1, 2, 13, 15}},
      {{.out = 3, .kernel = 2, .stride = 3, .pad = 0}, {2, 2, 6, 7}},
  };
  for (const Case& c : cases) EXPECT_TRUE(check_layer(Conv2d(c.config), {.x = {c.x}}));
}

TEST(Gradient, conv2d_of_which_only_a_part_trains) {
  const Conv2d conv({.out = 4, .kernel = 3, .stride = 2, .pad = 1, .groups = 2});
  EXPECT_TRUE(check_layer(conv, {.x = {{2, 4, 5, 4}}, .wants_dx = false}));
  EXPECT_TRUE(check_layer(conv, {.x = {{2, 4, 5, 4}}, .wants_dw = false}));
}

TEST(Gradient, linear) {
  EXPECT_TRUE(check_layer(Linear(5), {.x = {{3, 7}}}));
  EXPECT_TRUE(check_layer(Linear(3), {.x = {{1, 4}}}));
  EXPECT_TRUE(check_layer(Linear(1), {.x = {{2, 3, 3, 2}}}));
  EXPECT_TRUE(check_layer(Linear(5), {.x = {{3, 7}}, .wants_dx = false}));
  EXPECT_TRUE(check_layer(Linear(5), {.x = {{3, 7}}, .wants_dw = false}));
}

TEST(Gradient, batchnorm2d_in_every_mode) {
  for (BnMode mode : {BnMode::batch, BnMode::running}) {
    EXPECT_TRUE(check_layer(BatchNorm2d(), {.x = {{3, 5, 4, 3}}, .bn = mode}));
    EXPECT_TRUE(check_layer(BatchNorm2d(1e-3), {.x = {{1, 2, 5, 3}}, .bn = mode}));
    EXPECT_TRUE(check_layer(BatchNorm2d(), {.x = {{6, 3, 1, 1}}, .bn = mode}));
    EXPECT_TRUE(check_layer(BatchNorm2d(), {.x = {{3, 5, 2, 3}}, .bn = mode, .wants_dx = false}));
    EXPECT_TRUE(check_layer(BatchNorm2d(), {.x = {{3, 5, 2, 3}}, .bn = mode, .wants_dw = false}));
  }
  EXPECT_TRUE(
      check_layer(BatchNorm2d(), {.x = {{3, 5, 4, 3}}, .bn = BnMode::frozen, .wants_dw = false}));
}

TEST(Gradient, batchnorm2d_with_residual_and_relu) {
  const Shape x{3, 5, 4, 3};
  for (BnMode mode : {BnMode::batch, BnMode::running}) {
    EXPECT_TRUE(check_layer(BatchNorm2d(1e-5, 0.1, false, true), {.x = {x}, .bn = mode}));
    EXPECT_TRUE(check_layer(BatchNorm2d(1e-5, 0.1, true, false), {.x = {x, x}, .bn = mode}));
    EXPECT_TRUE(check_layer(BatchNorm2d(1e-5, 0.1, true, true), {.x = {x, x}, .bn = mode}));
  }
  EXPECT_TRUE(check_layer(BatchNorm2d(1e-5, 0.1, true, true),
                          {.x = {x, x}, .bn = BnMode::frozen, .wants_dw = false}));
}

TEST(Gradient, pool2d) {
  using Kind = Pool2dSpec::Kind;
  for (Kind kind : {Kind::max, Kind::average}) {
    EXPECT_TRUE(check_layer(Pool2d(kind, 3, 2, 0), {.x = {{2, 3, 9, 7}}}));
    EXPECT_TRUE(check_layer(Pool2d(kind, 3, 2, 1), {.x = {{1, 5, 8, 6}}}));
    EXPECT_TRUE(check_layer(Pool2d(kind, 2, 2, 0), {.x = {{2, 2, 7, 5}}}));
    EXPECT_TRUE(check_layer(Pool2d(kind, 3, 1, 1), {.x = {{1, 2, 4, 5}}}));
  }
}

TEST(Gradient, adaptive_avg_pool2d) {
  EXPECT_TRUE(check_layer(AdaptiveAvgPool2d(1, 1), {.x = {{2, 3, 5, 4}}}));
  EXPECT_TRUE(check_layer(AdaptiveAvgPool2d(3, 2), {.x = {{1, 5, 7, 5}}}));
  EXPECT_TRUE(check_layer(AdaptiveAvgPool2d(6, 6), {.x = {{2, 3, 2, 2}}}));
  EXPECT_TRUE(check_layer(AdaptiveAvgPool2d(4, 3), {.x = {{2, 3, 4, 3}}}));  // a view
}

TEST(Gradient, lrn) {
  EXPECT_TRUE(check_layer(Lrn(5, 0.5, 0.75, 2), {.x = {{2, 7, 3, 2}}}));
  EXPECT_TRUE(check_layer(Lrn(3, 1, 1, 1), {.x = {{1, 2, 2, 3}}}));
  EXPECT_TRUE(check_layer(Lrn(5, 1e-4, 0.75, 1), {.x = {{1, 6, 2, 2}}}));
}

TEST(Gradient, element_wise_layers) {
  EXPECT_TRUE(check_layer(Relu(), {.x = {{2, 5, 4, 3}}}));
  EXPECT_TRUE(check_layer(Relu(), {.x = {{3, 7}}}));
  EXPECT_TRUE(check_layer(Add(), {.x = {{2, 5, 4, 3}, {2, 5, 4, 3}}}));
  EXPECT_TRUE(check_layer(Dropout(0.5), {.x = {{3, 17}}}));
  EXPECT_TRUE(check_layer(Dropout(0.1), {.x = {{2, 5, 4, 3}}}));
  EXPECT_TRUE(check_layer(Dropout(0.5), {.x = {{3, 17}}, .training = false}));
  EXPECT_TRUE(check_layer(Flatten(), {.x = {{2, 3, 4, 2}}}));
}

TEST(Gradient, softmax_cross_entropy_with_a_padded_sample) {
  const std::vector<DType> dtypes{DType::f64, DType::i32};
  EXPECT_TRUE(check_layer(SoftmaxCrossEntropy(), {.x = {{4, 5}, {4}}, .x_dtypes = dtypes}));
  EXPECT_TRUE(check_layer(SoftmaxCrossEntropy(), {.x = {{1, 2}, {1}}, .x_dtypes = dtypes}));
}

// A layer whose backward is wrong in one stated way.
class WrongConv2d final : public Conv2d {
 public:
  enum class Fault { scaled_dw, adds_to_dx, forgets_one_element, reads_y };
  WrongConv2d(Fault fault) : Conv2d({.out = 3, .kernel = 3, .pad = 1}), fault_(fault) {}
  std::unique_ptr<Layer> clone() const override { return std::make_unique<WrongConv2d>(fault_); }

  void backward(const Pass& pass) override {
    const Tensor &dx = pass.dx[0], &dw = pass.params[0].grad;
    const double before = dx.as<double>()[0], y = pass.y.as<double>()[0];
    Conv2d::backward(pass);
    if (fault_ == Fault::scaled_dw)
      for (int64_t i = 0; i < dw.shape().elements(); ++i) dw.as<double>()[i] *= 1.00001;
    if (fault_ == Fault::adds_to_dx) dx.as<double>()[0] += before;
    if (fault_ == Fault::forgets_one_element) dx.as<double>()[7] = before;
    if (fault_ == Fault::reads_y) dx.as<double>()[0] += 0 * y;
  }

 private:
  Fault fault_;
};

class GradientChecker : public testing::Test {
 protected:
  std::vector<GradientCheck> check(WrongConv2d::Fault fault) {
    RefBackend backend;
    return check_layer_gradients(WrongConv2d(fault), backend, {.x = {{2, 2, 4, 3}}});
  }
};

TEST_F(GradientChecker, catches_a_weight_gradient_that_is_off_by_one_part_in_1e5) {
  const auto checks = check(WrongConv2d::Fault::scaled_dw);
  ASSERT_EQ(checks.size(), 3u);
  EXPECT_TRUE(checks[0].passed) << checks[0].str();
  EXPECT_FALSE(checks[1].passed) << checks[1].str();
  EXPECT_EQ(checks[1].name, "weight");
  EXPECT_NEAR(checks[1].max_error, 1e-5, 1e-6);
  EXPECT_NEAR(checks[1].analytic / checks[1].numeric, 1.00001, 1e-6);
  EXPECT_TRUE(checks[2].passed) << checks[2].str();
}

TEST_F(GradientChecker, catches_a_gradient_that_is_added_or_not_written) {
  for (auto fault : {WrongConv2d::Fault::adds_to_dx, WrongConv2d::Fault::forgets_one_element}) {
    const auto checks = check(fault);
    EXPECT_FALSE(checks[0].passed) << checks[0].str();
    EXPECT_EQ(checks[0].worst, fault == WrongConv2d::Fault::adds_to_dx ? 0 : 7);
  }
}

TEST_F(GradientChecker, catches_a_layer_that_reads_what_it_did_not_ask_for) {
  EXPECT_FALSE(check(WrongConv2d::Fault::reads_y)[0].passed);
}

TEST_F(GradientChecker, leaves_out_kinks_but_not_a_wrong_slope) {
  double x[] = {0.5, 3e-6, -0.5, 1.5}, y[4];
  const double dy[] = {1, 2, 3, 4};
  const auto forward = [&] {
    for (int i = 0; i < 4; ++i) y[i] = x[i] > 0 ? x[i] * x[i] + x[i] : 0;
  };
  const double right[] = {2, 2, 0, 16}, wrong[] = {2, 2, 0, 16.0001};
  const GradientCheck good = check_gradient("x", x, right, forward, y, dy, {});
  EXPECT_TRUE(good.passed) << good.str();
  EXPECT_EQ(good.kinks, 1);
  EXPECT_EQ(good.checked, 3);
  const GradientCheck bad = check_gradient("x", x, wrong, forward, y, dy, {});
  EXPECT_FALSE(bad.passed);
  EXPECT_EQ(bad.worst, 3);
  const double more_than_a_kink[] = {2, 5, 0, 16};  // neither slope, and nothing in between
  EXPECT_FALSE(check_gradient("x", x, more_than_a_kink, forward, y, dy, {}).passed);
}

TEST_F(GradientChecker, does_not_pass_when_all_is_a_kink_or_nothing_is_finite) {
  double x[] = {0.0}, y[1];
  const double dy[] = {1}, dx[] = {0}, none[] = {std::nan("")};
  const auto forward = [&] { y[0] = std::abs(x[0]) + x[0]; };
  EXPECT_FALSE(check_gradient("x", x, dx, forward, y, dy, {}).passed);
  EXPECT_FALSE(check_gradient("x", x, none, forward, y, dy, {}).passed);
}

}  // namespace ft::test
