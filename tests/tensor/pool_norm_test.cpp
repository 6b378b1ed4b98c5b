// Pooling, batch-norm and LRN of every backend against ref in double.
#include <algorithm>
#include <cmath>

#include "tests/support/op_test.h"

namespace ft::test {

class Pool2dTest : public OpTest {
 protected:
  void judge_plan(const Tensor& x_values, const TensorSpec& x_spec, Pool2dPlan& plan,
                  Pool2dPlan& reference, bool backward) {
    const Shape& y_shape = reference.y_spec().shape;
    ASSERT_EQ(plan.y_spec().shape, y_shape);
    ASSERT_EQ(plan.y_spec().dtype, dtype());
    Buffer x = input("x", x_values, x_spec), y = output("y", plan.y_spec());
    Buffer aux = scratch("aux", plan.aux_bytes());
    Buffer workspace = scratch("workspace", plan.workspace_bytes());
    run_twice([&] { plan.forward(stream(), x, y, aux, workspace); }, {&x}, {&y},
              {&aux, &workspace});
    Tensor want = host(y_shape), want_aux = host({y_shape.elements()});
    reference.forward(stream(), x_values, want, want_aux, {});
    const int64_t terms = x_spec.shape.h() * x_spec.shape.w();
    expect_near(y, want, terms);
    if (!backward) {
      EXPECT_EQ(plan.aux_bytes(), 0u) << "nobody reads what forward keeps";
      return;
    }
    keep(aux);
    const Tensor dy_values = draw(y_shape);
    Buffer dy = input("dy", dy_values, plan.y_spec()), dx = output("dx", x_spec);
    run_twice([&] { plan.backward_data(stream(), dy, aux, dx, workspace); }, {&dy, &aux}, {&dx},
              {&workspace});
    want = host(x_spec.shape);
    reference.backward_data(stream(), dy_values, want_aux, want, {});
    expect_near(dx, want, terms);
  }
};

TEST_P(Pool2dTest, agrees_with_ref) {
  each_plan<Pool2dSpec>([&](const Pool2dSpec& spec) {
    // Multiples of 1/2 tie often: the first maximum takes the gradient.
    const Tensor drawn = draw(spec.x.shape);
    const Tensor x =
        fill(spec.x.shape, [&](int64_t i) { return std::round(2 * drawn.as<double>()[i]) / 2; });
    const auto plan = backend().make_pool2d(spec), reference = judge().make_pool2d(in_double(spec));
    judge_plan(x, spec.x, *plan, *reference, spec.passes.backward_data);
  });
}

TEST_P(Pool2dTest, adaptive_average_agrees_with_ref) {
  each_plan<AdaptiveAvgPool2dSpec>([&](const AdaptiveAvgPool2dSpec& spec) {
    const auto plan = backend().make_adaptive_avg_pool2d(spec),
               reference = judge().make_adaptive_avg_pool2d(in_double(spec));
    judge_plan(draw(spec.x.shape), spec.x, *plan, *reference, spec.passes.backward_data);
  });
}

class BatchNorm2dTest : public OpTest {
 protected:
  struct Operands {
    Tensor x, residual, dy, gamma, beta, mean, var;
    BatchNormParams params() const { return {gamma, beta, mean, var}; }
  };

  Operands draw_operands(const BatchNorm2dSpec& spec) {
    const Shape c{spec.x.shape.c()};
    Operands o;
    o.x = draw(spec.x.shape, 1.5);
    o.dy = draw(spec.x.shape);
    const auto vector = [&](double centre, double scale) {
      const Tensor t = draw(c, scale, param_dtype());
      return fill(c, [&](int64_t i) { return static_cast<float>(centre + t.as<double>()[i]); });
    };
    o.gamma = vector(1, 0.4);
    o.beta = vector(0.2, 0.5);
    o.mean = vector(0.1, 0.5);
    o.var = vector(2, 0.2);
    if (spec.add_residual) o.residual = draw(spec.x.shape);
    return o;
  }

  // Draws until no value in front of the ReLU is so near to 0 that rounding decides its side. With
  // a residual, which some backends add in the element type, those values are pushed away.
  Operands draw_without_kinks(const BatchNorm2dSpec& spec) {
    while (true) {
      Operands o = draw_operands(spec);
      if (!spec.relu) return o;
      BatchNorm2dSpec linear = in_double(spec);
      linear.relu = false;
      linear.passes = {};
      Operands copy = o;
      copy.mean = copied(o.mean);
      copy.var = copied(o.var);
      Tensor z = host(spec.x.shape);
      judge().make_batchnorm2d(linear)->forward(stream(), o.x, o.residual, copy.params(), z, {},
                                                {});
      const double* v = z.as<double>();
      const int64_t count = z.shape().elements();
      if (spec.add_residual) {
        for (int64_t i = 0; i < count; ++i)
          if (std::abs(v[i]) < 0.06) o.residual.as<double>()[i] += v[i] < 0 ? -0.125 : 0.125;
        return o;
      }
      if (std::none_of(v, v + count, [](double e) { return std::abs(e) < 2e-4; })) return o;
    }
  }

  Tensor copied(const Tensor& t) {
    return fill(t.shape(), [&](int64_t i) { return t.as<double>()[i]; });
  }

  void judge_spec(const BatchNorm2dSpec& spec) {
    const auto plan = backend().make_batchnorm2d(spec),
               reference = judge().make_batchnorm2d(in_double(spec));
    ASSERT_EQ(plan->y_spec(), spec.x);
    const Shape &shape = spec.x.shape, c{shape.c()};
    const int64_t terms = shape.n() * shape.h() * shape.w();
    const Operands o = draw_without_kinks(spec);
    Buffer x = input("x", o.x, spec.x), residual = input("residual", o.residual, spec.x);
    Buffer gamma = input("gamma", o.gamma, param_spec(c)),
           beta = input("beta", o.beta, param_spec(c));
    Buffer mean = input("running_mean", o.mean, param_spec(c));
    Buffer var = input("running_var", o.var, param_spec(c));
    const BatchNormParams params{gamma, beta, mean, var};
    Buffer y = output("y", plan->y_spec()), aux = scratch("aux", plan->aux_bytes());
    Buffer workspace = scratch("workspace", plan->workspace_bytes());
    const bool updates = spec.mode == BnMode::batch;
    std::vector<Buffer*> inputs{&x, &residual, &gamma, &beta}, outputs{&y};
    for (Buffer* statistic : {&mean, &var}) (updates ? outputs : inputs).push_back(statistic);
    run_twice([&] { plan->forward(stream(), x, residual, params, y, aux, workspace); }, inputs,
              outputs, {&aux, &workspace});
    Tensor want = host(shape), want_aux = host({3 * shape.elements() + 2 * shape.c()});
    reference->forward(stream(), o.x, o.residual, o.params(), want, want_aux, {});
    expect_near(y, want, terms);
    expect_near(mean, o.mean, terms);
    expect_near(var, o.var, terms);
    if (!spec.passes.any_backward()) {
      EXPECT_EQ(plan->aux_bytes(), 0u) << "nobody reads what forward keeps";
      return;
    }

    keep(aux);
    keep(mean);
    keep(var);
    Buffer dy = input("dy", o.dy, plan->y_spec()), dx, dresidual, dgamma, dbeta;
    if (spec.passes.backward_data) dx = output("dx", spec.x);
    if (spec.passes.backward_data && spec.add_residual) dresidual = output("dresidual", spec.x);
    if (spec.passes.backward_weights) dgamma = output("dgamma", param_spec(c));
    if (spec.passes.backward_weights) dbeta = output("dbeta", param_spec(c));
    run_twice(
        [&] {
          plan->backward(stream(), x, dy, params, aux, {dx, dresidual, dgamma, dbeta}, workspace);
        },
        {&x, &dy, &gamma, &beta, &mean, &var, &aux}, {&dx, &dresidual, &dgamma, &dbeta},
        {&workspace});
    const BatchNormGradients want_g{host(shape), host(shape), host(c), host(c)};
    reference->backward(stream(), o.x, o.dy, o.params(), want_aux, want_g, {});
    const std::pair<Buffer*, Tensor> results[] = {{&dx, want_g.dx},
                                                  {&dresidual, want_g.dresidual},
                                                  {&dgamma, want_g.dgamma},
                                                  {&dbeta, want_g.dbeta}};
    // dx is what is left of three rounded terms; with few samples they are larger than it.
    for (const auto& [got, expected] : results)
      if (!got->tensor().empty()) expect_near(*got, expected, std::max<int64_t>(terms, 100));
  }
};

TEST_P(BatchNorm2dTest, agrees_with_ref) {
  each_plan<BatchNorm2dSpec>([&](const BatchNorm2dSpec& spec) { judge_spec(spec); });
}

class LrnTest : public OpTest {};

TEST_P(LrnTest, agrees_with_ref) {
  each_plan<LrnSpec>([&](const LrnSpec& spec) {
    const auto plan = backend().make_lrn(spec), reference = judge().make_lrn(in_double(spec));
    ASSERT_EQ(plan->y_spec(), spec.x);
    const Tensor x_values = draw(spec.x.shape, 2), dy_values = draw(spec.x.shape);
    Buffer x = input("x", x_values, spec.x), y = output("y", plan->y_spec());
    Buffer aux = scratch("aux", plan->aux_bytes());
    Buffer workspace = scratch("workspace", plan->workspace_bytes());
    run_twice([&] { plan->forward(stream(), x, y, aux, workspace); }, {&x}, {&y},
              {&aux, &workspace});
    Tensor want = host(spec.x.shape);
    reference->forward(stream(), x_values, want, {}, {});
    expect_near(y, want, 100);  // a power costs as much accuracy as a sum
    if (!spec.passes.backward_data) {
      EXPECT_EQ(plan->aux_bytes(), 0u) << "nobody reads what forward keeps";
      return;
    }
    keep(aux);
    Buffer dy = input("dy", dy_values, plan->y_spec()), dx = output("dx", spec.x);
    run_twice([&] { plan->backward_data(stream(), x, dy, aux, dx, workspace); }, {&x, &dy, &aux},
              {&dx}, {&workspace});
    want = host(spec.x.shape);
    reference->backward_data(stream(), x_values, dy_values, {}, want, {});
    expect_near(dx, want, 100);
  });
}

const auto kCases = testing::ValuesIn(backend_cases({DType::f32, DType::bf16}));
INSTANTIATE_TEST_SUITE_P(Backends, Pool2dTest, kCases, param_name);
INSTANTIATE_TEST_SUITE_P(Backends, BatchNorm2dTest, kCases, param_name);
INSTANTIATE_TEST_SUITE_P(Backends, LrnTest, kCases, param_name);

}  // namespace ft::test
