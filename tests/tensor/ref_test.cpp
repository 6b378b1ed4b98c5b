// The reference backend against numbers worked out by hand: it judges all others, so nothing else
// judges it.
#include "tensor/ref/ref.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "tensor/rng.h"

namespace ft {
namespace {

using Values = std::vector<double>;
const Tensor kNone;
const StreamRef kStream(nullptr);
constexpr PassSet kAll{true, true};

class Ref : public testing::Test {
 protected:
  RefBackend backend_;

  static TensorSpec spec(const Shape& shape) { return {shape, DType::f64, Layout::plain}; }
  Tensor make(const Shape& shape, const Values& values) {
    Tensor t(spec(shape), backend_.allocator());
    FT_CHECK(static_cast<int64_t>(values.size()) == shape.elements(), "values fit the shape");
    std::copy(values.begin(), values.end(), t.as<double>());
    return t;
  }
  Tensor blank(const Shape& shape) {
    return make(shape, Values(static_cast<size_t>(shape.elements()), std::nan("")));
  }
  Tensor bytes(size_t count) {
    return Tensor({{static_cast<int64_t>(count)}, DType::u8, Layout::plain}, backend_.allocator());
  }
  static Values values(const Tensor& t) {
    return Values(t.as<double>(), t.as<double>() + t.shape().elements());
  }
  static Values count_up(size_t n) {
    Values v(n);
    std::iota(v.begin(), v.end(), 1.0);
    return v;
  }
  static void expect_near(const Tensor& got, const Values& want) {
    const Values g = values(got);
    ASSERT_EQ(g.size(), want.size());
    for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(g[i], want[i], 1e-12) << "element " << i;
  }
};

// x counts 1 ... 16 on 4x4, w counts 1 ... 9 on 3x3.
class RefConv2d : public Ref {
 protected:
  Conv2dSpec conv() {
    Conv2dSpec a;
    a.x = spec({1, 1, 4, 4});
    a.k = 1;
    a.r = a.s = 3;
    a.passes = kAll;
    return a;
  }
  const Tensor x = make({1, 1, 4, 4}, count_up(16)), w = make({1, 1, 3, 3}, count_up(9));
};

TEST_F(RefConv2d, forward_sums_each_window_and_adds_the_bias) {
  Conv2dSpec a = conv();
  a.bias = true;
  const Tensor y = blank({1, 1, 2, 2});
  backend_.make_conv2d(a)->forward(kStream, x, {w, make({1}, {0.5}), 1}, kNone, y, kNone);
  EXPECT_EQ(values(y), (Values{348.5, 393.5, 528.5, 573.5}));
}

TEST_F(RefConv2d, border_taps_are_zero) {
  Conv2dSpec a = conv();
  a.stride_h = a.stride_w = 2;
  a.pad_h = a.pad_w = 1;
  const Tensor y = blank({1, 1, 2, 2});
  backend_.make_conv2d(a)->forward(kStream, x, {w, kNone, 1}, kNone, y, kNone);
  EXPECT_EQ(values(y), (Values{111, 217, 363, 573}));
}

TEST_F(RefConv2d, backward_data_sends_dy_back_through_every_tap) {
  const Tensor dy = make({1, 1, 2, 2}, {1, 0, 0, 2}), dx = blank({1, 1, 4, 4});
  backend_.make_conv2d(conv())->backward_data(kStream, dy, {w, kNone, 1}, dx, kNone);
  EXPECT_EQ(values(dx), (Values{1, 2, 3, 0, 4, 7, 10, 6, 7, 16, 19, 12, 0, 14, 16, 18}));
}

TEST_F(RefConv2d, backward_weights_is_13_plus_12r_plus_3s) {
  const Tensor dy = make({1, 1, 2, 2}, {1, 0, 0, 2}), dw = blank({1, 1, 3, 3}), db = blank({1});
  backend_.make_conv2d(conv())->backward_weights(kStream, x, dy, dw, db, kNone);
  EXPECT_EQ(values(dw), (Values{13, 16, 19, 25, 28, 31, 37, 40, 43}));
  EXPECT_EQ(values(db), (Values{3}));
}

TEST_F(RefConv2d, groups_see_their_own_channels_and_the_epilogue_ends_with_relu) {
  Conv2dSpec a;
  a.x = spec({1, 4, 1, 1});
  a.k = 2;
  a.groups = 2;
  a.bias = a.add_residual = a.relu = true;
  const Tensor weights = make({2, 2, 1, 1}, {1, 10, 100, 1000}), y = blank({1, 2, 1, 1});
  // 1*1 + 2*10 - 30 + 4 = -5 and 3*100 + 4*1000 + 5 - 1 = 4304
  backend_.make_conv2d(a)->forward(kStream, make({1, 4, 1, 1}, {1, 2, 3, 4}),
                                   {weights, make({2}, {4, -1}), 1}, make({1, 2, 1, 1}, {-30, 5}),
                                   y, kNone);
  EXPECT_EQ(values(y), (Values{0, 4304}));
}

TEST_F(Ref, matmul_by_hand) {
  MatmulSpec a;
  a.x = spec({2, 3, 1, 1});
  a.out = 2;
  a.bias = true;
  a.y_dtype = DType::f64;
  a.passes = kAll;
  const auto plan = backend_.make_matmul(a);
  const Tensor x = make({2, 3, 1, 1}, {1, 2, 3, 4, 5, 6}), w = make({2, 3}, {1, 0, -1, 2, 1, 0});
  const Tensor y = blank({2, 2}), dx = blank({2, 3, 1, 1}), dw = blank({2, 3}), db = blank({2});
  plan->forward(kStream, x, {w, make({2}, {10, 20}), 1}, y, kNone);
  EXPECT_EQ(values(y), (Values{8, 24, 8, 33}));
  const Tensor dy = make({2, 2}, {1, 2, 3, 4});
  plan->backward_data(kStream, dy, {w, kNone, 1}, dx, kNone);
  EXPECT_EQ(values(dx), (Values{5, 2, -1, 11, 4, -3}));
  plan->backward_weights(kStream, x, dy, dw, db, kNone);
  EXPECT_EQ(values(dw), (Values{13, 17, 21, 18, 24, 30}));
  EXPECT_EQ(values(db), (Values{4, 6}));
}

class RefPool2d : public Ref {
 protected:
  // Forward, then backward with dy = 1, 2, 3 ...
  void run(Pool2dPlan& plan, const Tensor& x) {
    y = blank(plan.y_spec().shape);
    dx = blank(x.shape());
    const Tensor aux = bytes(plan.aux_bytes());
    plan.forward(kStream, x, y, aux, kNone);
    const Tensor dy = make(y.shape(), count_up(static_cast<size_t>(y.shape().elements())));
    plan.backward_data(kStream, dy, aux, dx, kNone);
  }
  Pool2dSpec pool(const Shape& x, Pool2dSpec::Kind kind, int64_t pad) {
    return {spec(x), kind, 3, 3, 2, 2, pad, pad, {true, false}};
  }
  Tensor y, dx;
};

TEST_F(RefPool2d, the_first_of_equal_maxima_takes_the_gradient) {
  run(*backend_.make_pool2d(pool({1, 1, 5, 5}, Pool2dSpec::Kind::max, 0)),
      make({1, 1, 5, 5}, Values(25, 7)));
  EXPECT_EQ(values(y), (Values{7, 7, 7, 7}));
  EXPECT_EQ(values(dx),
            (Values{1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
}

TEST_F(RefPool2d, a_maximum_of_four_windows_takes_all_their_gradients) {
  Values x(25, -1);
  x[12] = 9;
  run(*backend_.make_pool2d(pool({1, 1, 5, 5}, Pool2dSpec::Kind::max, 0)), make({1, 1, 5, 5}, x));
  Values want(25, 0);
  want[12] = 1 + 2 + 3 + 4;
  EXPECT_EQ(values(y), (Values{9, 9, 9, 9}));
  EXPECT_EQ(values(dx), want);
}

TEST_F(RefPool2d, padding_never_wins_a_maximum_and_is_not_counted_in_a_mean) {
  Values x = count_up(16);
  for (double& v : x) v -= 100;
  run(*backend_.make_pool2d(pool({1, 1, 4, 4}, Pool2dSpec::Kind::max, 1)), make({1, 1, 4, 4}, x));
  EXPECT_EQ(values(y), (Values{-94, -92, -86, -84}));
  run(*backend_.make_pool2d(pool({1, 1, 4, 4}, Pool2dSpec::Kind::average, 1)),
      make({1, 1, 4, 4}, count_up(16)));
  EXPECT_EQ(values(y), (Values{3.5, 5, 9.5, 11}));  // of 4, 6, 6 and 9 elements
  EXPECT_NEAR(values(dx)[0], 1.0 / 4, 1e-12);
  EXPECT_NEAR(values(dx)[5], 1.0 / 4 + 2.0 / 6 + 3.0 / 6 + 4.0 / 9, 1e-12);
}

TEST_F(RefPool2d, not_a_number_is_not_hidden) {
  Values x = count_up(25);
  x[12] = std::nan("");
  run(*backend_.make_pool2d(pool({1, 1, 5, 5}, Pool2dSpec::Kind::max, 0)), make({1, 1, 5, 5}, x));
  for (double v : values(y)) EXPECT_TRUE(std::isnan(v));
}

TEST_F(RefPool2d, adaptive_windows_overlap_and_repeat) {
  run(*backend_.make_adaptive_avg_pool2d({spec({1, 1, 1, 3}), 1, 2, {true, false}}),
      make({1, 1, 1, 3}, {1, 2, 6}));
  EXPECT_EQ(values(y), (Values{1.5, 4}));
  EXPECT_EQ(values(dx), (Values{0.5, 1.5, 1}));
  run(*backend_.make_adaptive_avg_pool2d({spec({1, 1, 2, 1}), 3, 1, {true, false}}),
      make({1, 1, 2, 1}, {2, 6}));
  EXPECT_EQ(values(y), (Values{2, 4, 6}));
  EXPECT_EQ(values(dx), (Values{2, 4}));
}

// One channel with the values 1 and 3: mean 2, biased variance 1, unbiased 2. Epsilon 3 makes the
// deviation 2 in every mode.
class RefBatchNorm2d : public Ref {
 protected:
  void run(BnMode mode, const Values& residual_values, const Values& dy) {
    BatchNorm2dSpec a{spec({2, 1, 1, 1}), 3, 0.1, mode, false, false, kAll};
    a.add_residual = a.relu = !residual_values.empty();
    const auto plan = backend_.make_batchnorm2d(a);
    const Tensor x = make({2, 1, 1, 1}, {1, 3}), aux = bytes(plan->aux_bytes());
    const Tensor residual = a.relu ? make({2, 1, 1, 1}, residual_values) : Tensor{};
    plan->forward(kStream, x, residual, params, y, aux, kNone);
    plan->backward(kStream, x, make({2, 1, 1, 1}, dy), params, aux, g, kNone);
  }
  const BatchNormParams params{make({1}, {2}), make({1}, {1}), make({1}, {1}), make({1}, {1})};
  const Tensor y = blank({2, 1, 1, 1});
  const BatchNormGradients g{blank({2, 1, 1, 1}), blank({2, 1, 1, 1}), blank({1}), blank({1})};
};

TEST_F(RefBatchNorm2d, batch_mode) {
  run(BnMode::batch, {}, {1, 0});
  expect_near(y, {0, 2});
  expect_near(params.running_mean, {0.9 * 1 + 0.1 * 2});
  expect_near(params.running_var, {0.9 * 1 + 0.1 * 2});
  expect_near(g.dgamma, {-0.5});
  expect_near(g.dbeta, {1});
  expect_near(g.dx, {0.375, -0.375});
}

TEST_F(RefBatchNorm2d, running_mode_takes_the_statistics_as_constants) {
  run(BnMode::running, {}, {1, 2});
  expect_near(y, {1, 3});
  expect_near(params.running_mean, {1});
  expect_near(params.running_var, {1});
  expect_near(g.dgamma, {2});
  expect_near(g.dbeta, {3});
  expect_near(g.dx, {1, 2});
}

TEST_F(RefBatchNorm2d, residual_and_relu_are_the_composition) {
  run(BnMode::running, {-5, 1}, {1, 2});
  expect_near(y, {0, 4});
  expect_near(g.dresidual, {0, 2});
  expect_near(g.dgamma, {2});
  expect_near(g.dbeta, {2});
  expect_near(g.dx, {0, 2});
}

// Window 3, alpha / size = 1, beta = 1, k = 1: the scales of 1, 2, 3 are 6, 15, 14.
TEST_F(Ref, lrn_by_hand) {
  const auto plan = backend_.make_lrn({spec({1, 3, 1, 1}), 3, 3, 1, 1, {true, false}});
  const Tensor x = make({1, 3, 1, 1}, {1, 2, 3}), y = blank({1, 3, 1, 1}), dx = blank({1, 3, 1, 1});
  plan->forward(kStream, x, y, kNone, kNone);
  expect_near(y, {1.0 / 6, 2.0 / 15, 3.0 / 14});
  plan->backward_data(kStream, x, make({1, 3, 1, 1}, {1, 0, 0}), kNone, dx, kNone);
  expect_near(dx, {1.0 / 9, -1.0 / 9, 0});
}

TEST_F(Ref, relu_keeps_not_a_number_and_its_gradient_is_zero_at_zero) {
  const Tensor y = blank({4}), dx = blank({4});
  backend_.relu_forward(kStream, make({4}, {-1, 0, 2, std::nan("")}), y);
  EXPECT_EQ(values(y)[0], 0);
  EXPECT_EQ(values(y)[1], 0);
  EXPECT_EQ(values(y)[2], 2);
  EXPECT_TRUE(std::isnan(values(y)[3]));
  backend_.relu_backward(kStream, y, make({4}, {5, 6, 7, 8}), dx);
  EXPECT_EQ(values(dx), (Values{0, 0, 7, 0}));
}

class RefDropout : public Ref {
 protected:
  Values run(const StepState& state, const Shape& shape) {
    const Tensor y = blank(shape);
    const Tensor x = make(shape, Values(static_cast<size_t>(shape.elements()), 1));
    backend_.dropout(
        kStream, {0.25, 3}, x,
        Tensor({{kStepStateWords}, DType::u64, Layout::plain}, const_cast<StepState*>(&state)), y);
    return values(y);
  }
};

TEST_F(RefDropout, mask_is_the_stated_function_of_the_position) {
  const Values y = run({11, 5, 2, 0}, {3, 40, 2, 3});
  for (size_t n = 0; n < 3; ++n) {
    const Rng rng(11, RngPurpose::dropout, 5, uint64_t{3} << 32 | (2 + n));
    for (size_t i = 0; i < 240; ++i)
      EXPECT_EQ(y[n * 240 + i], rng.uniform(i) >= 0.25f ? 1 / 0.75 : 0);
  }
  const double kept =
      static_cast<double>(std::count_if(y.begin(), y.end(), [](double v) { return v != 0; }));
  EXPECT_NEAR(kept / 720, 0.75, 0.05);
}

TEST_F(RefDropout, two_micro_batches_draw_the_masks_of_the_whole_batch) {
  Values halves = run({11, 5, 0, 0}, {2, 17});
  const Values second = run({11, 5, 2, 0}, {2, 17});
  halves.insert(halves.end(), second.begin(), second.end());
  EXPECT_EQ(halves, run({11, 5, 0, 0}, {4, 17}));
  EXPECT_NE(halves, run({11, 6, 0, 0}, {4, 17}));
}

class RefLoss : public Ref {
 protected:
  void run(const Shape& shape, const Values& logits, std::vector<int32_t> ids, const Values& seed) {
    const Tensor labels({{shape.n()}, DType::i32, Layout::plain}, ids.data());
    loss = blank({shape.n()});
    probability = blank(shape);
    dlogits = blank(shape);
    backend_.softmax_cross_entropy_forward(kStream, make(shape, logits), labels, loss, probability);
    backend_.softmax_cross_entropy_backward(kStream, probability, labels, make({shape.n()}, seed),
                                            dlogits);
  }
  Tensor loss, probability, dlogits;
};

TEST_F(RefLoss, logits_of_1e4_neither_overflow_nor_lose_the_loss) {
  run({3, 2}, {1e4, -1e4, 1e4, -1e4, -1e4, -1e4}, {1, 0, 1}, {1, 1, 4});
  expect_near(loss, {2e4, 0, std::log(2.0)});
  expect_near(probability, {1, 0, 1, 0, 0.5, 0.5});
  expect_near(dlogits, {1, -1, 0, 0, 2, -2});
}

TEST_F(RefLoss, one_class_and_padding_cost_nothing) {
  run({1, 1}, {3}, {0}, {1});
  expect_near(loss, {0});
  expect_near(probability, {1});
  expect_near(dlogits, {0});
  run({2, 2}, {0, std::log(3.0), 5, 1}, {0, -1}, {0.5, 0.5});
  expect_near(loss, {std::log(4.0), 0});
  expect_near(dlogits, {-0.375, 0.375, 0, 0});
}

// g = 1 twice, momentum 1/2, w = 10; the rate drops from 1 to 1/10 between the steps, doubled by
// its factor.
TEST_F(Ref, sgd_rules_part_after_a_rate_drop) {
  for (auto [rule, first, second] :
       {std::tuple{SgdSpec::Rule::caffe, 8.0, 6.8}, {SgdSpec::Rule::pytorch, 8.0, 7.7}}) {
    const Tensor w = make({1}, {10}), v = make({1}, {0});
    StepState state;
    const auto step = [&](double rate) {
      state.rate = rate;
      backend_.sgd_update(kStream, {rule, 0.5, 0, 2}, make({1}, {1}),
                          Tensor({{kStepStateWords}, DType::u64, Layout::plain}, &state), v, w);
      return values(w)[0];
    };
    EXPECT_NEAR(step(1), first, 1e-12);
    EXPECT_NEAR(step(0.1), second, 1e-12);
  }
}

TEST_F(Ref, decay_adds_to_the_gradient) {
  const Tensor w = make({1}, {10}), v = make({1}, {4});
  StepState state{0, 0, 0, 0.5};
  backend_.sgd_update(kStream, {SgdSpec::Rule::caffe, 0.5, 0.1, 1}, make({1}, {1}),
                      Tensor({{kStepStateWords}, DType::u64, Layout::plain}, &state), v, w);
  expect_near(v, {0.5 * 4 + 0.5 * (1 + 0.1 * 10)});
  expect_near(w, {10 - 3});
}

TEST_F(Ref, normalize_image_swaps_channels_for_bgr) {
  std::vector<uint8_t> pixels{10, 20, 30, 40, 50, 60};  // two pixels, R G B
  const Tensor in({{1, 1, 2, 3}, DType::u8, Layout::plain}, pixels.data());
  const Tensor y = blank({1, 3, 1, 2});
  backend_.normalize_image(kStream, {0.5, {1, 2, 3}, {1, 2, 4}, false}, in, y);
  expect_near(y, {4, 19, 4, 11.5, 3, 6.75});
  backend_.normalize_image(kStream, {0.5, {1, 2, 3}, {1, 2, 4}, true}, in, y);
  expect_near(y, {14, 29, 4, 11.5, 0.5, 4.25});
}

TEST_F(Ref, convert_pads_blocks_with_zero_and_rounds_to_even) {
  const Tensor x = make({1, 2, 1, 2}, {1, 2, 1.00390625, 1.01171875});  // 1 + 2^-8, 1 + 3 * 2^-8
  const Tensor y({{1, 2, 1, 2}, DType::bf16, Layout::nchw8c}, backend_.allocator());
  backend_.convert(kStream, x, y);
  const auto* bits = static_cast<const uint16_t*>(y.data());
  const std::vector<uint16_t> want{0x3f80, 0x3f80, 0, 0, 0, 0, 0, 0,
                                   0x4000, 0x3f82, 0, 0, 0, 0, 0, 0};
  EXPECT_EQ(std::vector<uint16_t>(bits, bits + 16), want);
}

}  // namespace
}  // namespace ft
