// Convolution and matrix product of every backend against ref in double.
#include <algorithm>
#include <cmath>

#include "tests/support/op_test.h"

namespace ft::test {

class ProductTest : public OpTest {
 protected:
  // What both products have in common: forward with two sets of weights one after the other (a plan
  // keeps packed copies of the first), then both backward passes.
  struct Operands {
    Tensor x, w, w2, b, residual, dy;
  };
  Operands draw_operands(const Shape& x, const Shape& w, const Shape& y, bool bias, bool residual) {
    const double scale = 1 / std::sqrt(static_cast<double>(w.per_sample()));
    Operands o{draw(x), draw(w, scale), draw(w, scale), {}, {}, draw(y)};
    if (bias) o.b = draw({w.n()});
    if (residual) o.residual = draw(y);
    return o;
  }
  Tensor none_;
};

class Conv2dTest : public ProductTest {
 protected:
  void judge_forward(const Conv2dSpec& spec, Conv2dPlan& plan, Conv2dPlan& reference,
                     const Operands& o) {
    Buffer x = input("x", o.x, spec.x), b = input("b", o.b, param_spec({spec.k}));
    Buffer residual = input("residual", o.residual, plan.y_spec());
    Buffer y = output("y", plan.y_spec()), workspace = scratch("workspace", plan.workspace_bytes());
    uint64_t version = 0;
    for (const Tensor& values : {o.w, o.w2}) {
      Buffer w = input("w", values, param_spec(spec.weight_shape()));
      ++version;
      run_twice([&] { plan.forward(stream(), x, {w, b, version}, residual, y, workspace); },
                {&x, &w, &b, &residual}, {&y}, {&workspace});
      Tensor want = host(spec.y_shape());
      reference.forward(stream(), o.x, {values, o.b, version}, o.residual, want, none_);
      expect_near(y, want, spec.weight_shape().per_sample());
    }
  }

  void judge_backward_data(const Conv2dSpec& spec, Conv2dPlan& plan, Conv2dPlan& reference,
                           const Operands& o) {
    Buffer dy = input("dy", o.dy, plan.y_spec()), dx = output("dx", spec.x);
    Buffer w = input("w", o.w, param_spec(spec.weight_shape()));
    Buffer workspace = scratch("workspace", plan.workspace_bytes());
    run_twice([&] { plan.backward_data(stream(), dy, {w, none_, 3}, dx, workspace); }, {&dy, &w},
              {&dx}, {&workspace});
    Tensor want = host(spec.x.shape);
    reference.backward_data(stream(), o.dy, {o.w, none_, 3}, want, none_);
    expect_near(dx, want, spec.k / spec.groups * spec.r * spec.s);
  }

  // dw and db, and each without the other.
  void judge_backward_weights(const Conv2dSpec& spec, Conv2dPlan& plan, Conv2dPlan& reference,
                              const Operands& o) {
    Buffer x = input("x", o.x, spec.x), dy = input("dy", o.dy, plan.y_spec());
    Buffer workspace = scratch("workspace", plan.workspace_bytes());
    Tensor want_dw = host(spec.weight_shape()), want_db = host({spec.k});
    reference.backward_weights(stream(), o.x, o.dy, want_dw, want_db, none_);
    const int64_t terms = spec.y_shape().elements() / spec.k;
    for (auto [with_w, with_b] : {std::pair{true, spec.bias}, {true, false}, {false, true}}) {
      if (with_b && !spec.bias) continue;
      Buffer dw, db;
      if (with_w) dw = output("dw", param_spec(spec.weight_shape()));
      if (with_b) db = output("db", param_spec({spec.k}));
      run_twice([&] { plan.backward_weights(stream(), x, dy, dw, db, workspace); }, {&x, &dy},
                {&dw, &db}, {&workspace});
      if (with_w) expect_near(dw, want_dw, terms);
      if (with_b) expect_near(db, want_db, terms);
    }
  }

  void judge_spec(const Conv2dSpec& spec) {
    const auto plan = backend().make_conv2d(spec), reference = judge().make_conv2d(in_double(spec));
    ASSERT_EQ(plan->y_spec().shape, spec.y_shape());
    ASSERT_EQ(plan->y_spec().dtype, dtype());
    EXPECT_FALSE(plan->describe(PassKind::forward).empty());
    const Operands o = draw_operands(spec.x.shape, spec.weight_shape(), spec.y_shape(), spec.bias,
                                     spec.add_residual);
    judge_forward(spec, *plan, *reference, o);
    if (spec.passes.backward_data) judge_backward_data(spec, *plan, *reference, o);
    if (!spec.passes.backward_weights) return;
    judge_backward_weights(spec, *plan, *reference, o);
  }
};

TEST_P(Conv2dTest, agrees_with_ref) {
  each_plan<Conv2dSpec>([&](const Conv2dSpec& spec) { judge_spec(spec); });
}

// The channels of the networks on small images: vendors choose their algorithm by them.
class LongConv2dTest : public Conv2dTest {};

TEST_P(LongConv2dTest, agrees_with_ref_for_the_channels_of_the_networks) {
  for (const OpCase& c : op_cases_of<Conv2dSpec>(true)) {
    Conv2dSpec spec = std::get<Conv2dSpec>(c.op);
    const int64_t side = std::min(spec.x.shape.h(), std::max<int64_t>(9, 3 * spec.r));
    spec.numerics.compute = dtype();
    spec.x = activation_specs({1, spec.x.shape.c(), side, side}).front();
    guarded(c.name, [&] { judge_spec(spec); });
  }
}

class MatmulTest : public ProductTest {
 protected:
  void judge_spec(const MatmulSpec& spec) {
    const auto plan = backend().make_matmul(spec), reference = judge().make_matmul(in_double(spec));
    ASSERT_EQ(plan->y_spec(), (TensorSpec{spec.y_shape(), spec.y_dtype, Layout::plain}));
    const Operands o =
        draw_operands(spec.x.shape, spec.weight_shape(), spec.y_shape(), spec.bias, false);
    Buffer x = input("x", o.x, spec.x), b = input("b", o.b, param_spec({spec.out}));
    Buffer y = output("y", plan->y_spec()), dy = input("dy", o.dy, plan->y_spec());
    Buffer workspace = scratch("workspace", plan->workspace_bytes());
    uint64_t version = 0;
    for (const Tensor& values : {o.w, o.w2}) {
      Buffer w = input("w", values, param_spec(spec.weight_shape()));
      ++version;
      run_twice([&] { plan->forward(stream(), x, {w, b, version}, y, workspace); }, {&x, &w, &b},
                {&y}, {&workspace});
      Tensor want = host(spec.y_shape());
      reference->forward(stream(), o.x, {values, o.b, version}, want, none_);
      expect_near(y, want, spec.in());
      if (!spec.passes.backward_data) continue;
      Buffer dx = output("dx", spec.x);
      run_twice([&] { plan->backward_data(stream(), dy, {w, b, version}, dx, workspace); },
                {&dy, &w, &b}, {&dx}, {&workspace});
      want = host(spec.x.shape);
      reference->backward_data(stream(), o.dy, {values, o.b, version}, want, none_);
      expect_near(dx, want, spec.out);
    }
    if (spec.passes.backward_weights) judge_backward_weights(spec, *plan, *reference, o);
  }

  void judge_backward_weights(const MatmulSpec& spec, MatmulPlan& plan, MatmulPlan& reference,
                              const Operands& o) {
    Buffer x = input("x", o.x, spec.x), dy = input("dy", o.dy, plan.y_spec());
    Buffer workspace = scratch("workspace", plan.workspace_bytes());
    Tensor want_dw = host(spec.weight_shape()), want_db = host({spec.out});
    reference.backward_weights(stream(), o.x, o.dy, want_dw, want_db, none_);
    for (auto [want_w, want_b] : {std::pair{true, spec.bias}, {true, false}, {false, true}}) {
      if (want_b && !spec.bias) continue;
      Buffer dw, db;
      if (want_w) dw = output("dw", param_spec(spec.weight_shape()));
      if (want_b) db = output("db", param_spec({spec.out}));
      run_twice([&] { plan.backward_weights(stream(), x, dy, dw, db, workspace); }, {&x, &dy},
                {&dw, &db}, {&workspace});
      if (want_w) expect_near(dw, want_dw, spec.x.shape.n());
      if (want_b) expect_near(db, want_db, spec.x.shape.n());
    }
  }
};

TEST_P(MatmulTest, agrees_with_ref) {
  each_plan<MatmulSpec>([&](MatmulSpec spec) {
    spec.y_dtype = DType::f32;  // the logits of every precision
    judge_spec(spec);
    if (dtype() == DType::f32) return;
    spec.y_dtype = dtype();  // a hidden layer
    judge_spec(spec);
  });
}

const auto kCases = testing::ValuesIn(backend_cases({DType::f32, DType::bf16}));
INSTANTIATE_TEST_SUITE_P(Backends, Conv2dTest, kCases, param_name);
INSTANTIATE_TEST_SUITE_P(Backends, LongConv2dTest,
                         testing::Values(BackendCase{"cpu", DType::f32},
                                         BackendCase{"cpu", DType::bf16},
                                         BackendCase{"cuda", DType::f32},
                                         BackendCase{"cuda", DType::bf16}),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Backends, MatmulTest, kCases, param_name);

}  // namespace ft::test
