// The plain ops of every backend against ref in double.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "tensor/rng.h"
#include "tests/support/op_test.h"

namespace ft::test {

// Ops on activations, in every element type.
class PlainOpTest : public OpTest {
 protected:
  TensorSpec in_double(const Shape& shape) { return {shape, DType::f64, Layout::plain}; }

  // fn(x, y) for a fresh y and then for y in the memory of x: the bytes must be the same.
  void run_in_and_out_of_place(const Tensor& values, const TensorSpec& spec, Buffer& y,
                               const std::function<void(const Tensor&, const Tensor&)>& fn) {
    Buffer x = input("x", values, spec), both = input("x and y", values, spec);
    y = output("y", spec);
    run_twice([&] { fn(x, y); }, {&x}, {&y});
    run_twice([&] { fn(both, both); }, {}, {&both});
    EXPECT_TRUE(bytes_of(y) == bytes_of(both)) << "in place it computes something else";
  }

  Buffer state(const StepState& s) {
    return input_bytes("state", {{kStepStateWords}, DType::u64, Layout::plain}, &s);
  }
};

TEST_P(PlainOpTest, fill_zero_clears_every_byte) {
  each_case<ReluCase>([&](const ReluCase& c) {
    for (const TensorSpec& spec : activation_specs(c.x)) {
      Buffer y = output("y", spec);
      run_twice([&] { backend().fill_zero(stream(), y); }, {}, {&y});
      EXPECT_TRUE(bytes_of(y) == std::string(spec.bytes(), '\0')) << spec.str();
    }
  });
}

TEST_P(PlainOpTest, add_agrees_with_ref) {
  each_case<AddCase>([&](const AddCase& c) {
    for (const TensorSpec& spec : activation_specs(c.x)) {
      const Tensor a_values = draw(c.x), b_values = draw(c.x);
      Buffer b = input("b", b_values, spec), y;
      run_in_and_out_of_place(a_values, spec, y, [&](const Tensor& a, const Tensor& out) {
        backend().add(stream(), a, b, out);
      });
      Tensor want = host(c.x);
      judge().add(stream(), a_values, b_values, want);
      expect_near(y, want, 1);
    }
  });
}

TEST_P(PlainOpTest, relu_agrees_with_ref) {
  each_case<ReluCase>([&](const ReluCase& c) {
    for (const TensorSpec& spec : activation_specs(c.x)) {
      const Tensor x_values = draw(c.x), dy_values = draw(c.x);
      Buffer y, dx;
      run_in_and_out_of_place(x_values, spec, y, [&](const Tensor& x, const Tensor& out) {
        backend().relu_forward(stream(), x, out);
      });
      Tensor want = host(c.x), want_dx = host(c.x);
      judge().relu_forward(stream(), x_values, want);
      expect_equal(y, want);
      keep(y);
      run_in_and_out_of_place(dy_values, spec, dx, [&](const Tensor& dy, const Tensor& out) {
        backend().relu_backward(stream(), y, dy, out);
      });
      judge().relu_backward(stream(), want, dy_values, want_dx);
      expect_equal(dx, want_dx);
    }
  });
}

TEST_P(PlainOpTest, dropout_draws_the_mask_of_ref) {
  each_case<DropoutCase>([&](const DropoutCase& c) {
    Buffer words = state(c.state);
    const Tensor host_words({{kStepStateWords}, DType::u64, Layout::plain},
                            const_cast<StepState*>(&c.state));
    for (const TensorSpec& spec : activation_specs(c.x)) {
      const Tensor x_values = draw(c.x);
      Buffer y;
      run_in_and_out_of_place(x_values, spec, y, [&](const Tensor& x, const Tensor& out) {
        backend().dropout(stream(), c.spec, x, words, out);
      });
      Tensor want = host(c.x);
      judge().dropout(stream(), c.spec, x_values, host_words, want);
      expect_near(y, want, 1);
      const Tensor got = values_of(y);
      for (int64_t i = 0; i < c.x.elements(); ++i)
        EXPECT_EQ(got.as<double>()[i] == 0, want.as<double>()[i] == 0) << "element " << i;
    }
  });
}

TEST_P(PlainOpTest, normalize_image_agrees_with_ref) {
  each_case<NormalizeCase>([&](const NormalizeCase& c) {
    const Shape shape{c.y.n(), c.y.h(), c.y.w(), 3};
    std::vector<uint8_t> bytes(static_cast<size_t>(shape.elements()));
    const Rng rng(3, RngPurpose::test);
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(rng.below(i, 256));
    const TensorSpec pixel_spec{shape, DType::u8, Layout::plain};
    Tensor want = host(c.y);
    judge().normalize_image(stream(), c.spec, Tensor(pixel_spec, bytes.data()), want);
    for (const TensorSpec& spec : activation_specs(c.y)) {
      Buffer pixels = input_bytes("pixels", pixel_spec, bytes.data()), y = output("y", spec);
      run_twice([&] { backend().normalize_image(stream(), c.spec, pixels, y); }, {&pixels}, {&y});
      expect_near(y, want, 1);
    }
  });
}

// Every pair of layouts and element types; a conversion rounds once and is otherwise exact.
TEST_P(PlainOpTest, convert_moves_every_element_to_its_place) {
  std::vector<DType> dtypes{DType::f32, DType::bf16};
  if (GetParam().device == "ref") dtypes.push_back(DType::f64);
  each_case<ConvertCase>([&](const ConvertCase& c) {
    std::vector<Layout> layouts{Layout::plain};
    if (c.x.rank() == 4) layouts = {Layout::plain, Layout::nhwc, Layout::nchw8c, Layout::nchw16c};
    for (DType from : dtypes)
      for (Layout from_layout : layouts) {
        const Tensor x_values = draw(c.x, 1, from);
        for (DType to : dtypes)
          for (Layout to_layout : layouts) {
            const TensorSpec x_spec{c.x, from, from_layout}, y_spec{c.x, to, to_layout};
            SCOPED_TRACE(x_spec.str() + " -> " + y_spec.str());
            Buffer x = input("x", x_values, x_spec), y = output("y", y_spec);
            run_twice([&] { backend().convert(stream(), x, y); }, {&x}, {&y});
            Buffer want = input("want", x_values, y_spec);
            EXPECT_TRUE(bytes_of(y) == bytes_of(want));
          }
      }
  });
}

// Ops in the type of parameters and losses, whatever the activations are.
class MasterOpTest : public PlainOpTest {};

TEST_P(MasterOpTest, softmax_cross_entropy_agrees_with_ref) {
  each_case<LossCase>([&](const LossCase& c) {
    const Shape shape{c.spec.n, c.spec.classes}, samples{c.spec.n};
    const TensorSpec spec{shape, dtype(), Layout::plain},
        sample_spec{samples, dtype(), Layout::plain};
    const TensorSpec label_spec{samples, DType::i32, Layout::plain};
    const Tensor x = draw(shape, c.scale), seed = draw(samples);
    std::vector<int32_t> ids(static_cast<size_t>(c.spec.n));
    for (size_t n = 0; n < ids.size(); ++n)  // the third sample is padding
      ids[n] =
          n == 2 ? -1 : static_cast<int32_t>((7 * n + 3) % static_cast<size_t>(c.spec.classes));
    const Tensor host_labels(label_spec, ids.data());

    Buffer logits = input("logits", x, spec),
           labels = input_bytes("labels", label_spec, ids.data());
    Buffer loss = output("loss", sample_spec), probability = output("probability", spec);
    run_twice(
        [&] {
          backend().softmax_cross_entropy_forward(stream(), logits, labels, loss, probability);
        },
        {&logits, &labels}, {&loss, &probability});
    Tensor want_loss = host(samples), want_probability = host(shape), want = host(shape);
    judge().softmax_cross_entropy_forward(stream(), x, host_labels, want_loss, want_probability);
    expect_near(loss, want_loss, 100);
    expect_near(probability, want_probability, 100);

    keep(probability);
    Buffer dloss = input("dloss", seed, sample_spec), dlogits = output("dlogits", spec);
    run_twice(
        [&] {
          backend().softmax_cross_entropy_backward(stream(), probability, labels, dloss, dlogits);
        },
        {&probability, &labels, &dloss}, {&dlogits});
    judge().softmax_cross_entropy_backward(stream(), want_probability, host_labels, seed, want);
    expect_near(dlogits, want, 100);
  });
}

TEST_P(MasterOpTest, sgd_update_agrees_with_ref) {
  each_case<SgdCase>([&](const SgdCase& c) {
    const Shape shape{c.count};
    const StepState step{1, 0, 0, 0.05};
    const Tensor host_words({{kStepStateWords}, DType::u64, Layout::plain},
                            const_cast<StepState*>(&step));
    const Tensor gv = draw(shape), vv = draw(shape, 0.1), wv = draw(shape);
    Buffer g = input("g", gv, param_spec(shape)), v = input("v", vv, param_spec(shape));
    Buffer w = input("w", wv, param_spec(shape)), words = state(step);
    run_twice([&] { backend().sgd_update(stream(), c.spec, g, words, v, w); }, {&g, &words},
              {&v, &w});
    judge().sgd_update(stream(), c.spec, gv, host_words, vv, wv);
    expect_near(v, vv, 1);
    expect_near(w, wv, 1);
  });
}

// One loss that is not finite, wherever it stands, halts; what is halted stays so and is not updated.
TEST_P(MasterOpTest, a_loss_that_is_not_finite_halts_the_updates) {
  constexpr int64_t kCount = 300;
  const SgdSpec spec;
  const auto run = [&](int64_t bad_at, float bad, uint64_t before) {
    const StepState step{1, 0, 0, 0.05, before};
    std::vector<float> losses(kCount, 0.5f);
    if (bad_at >= 0) losses[static_cast<size_t>(bad_at)] = bad;
    const TensorSpec flat{{kCount}, DType::f32, Layout::plain};
    Backend& b = backend();
    const Tensor x(flat, b.allocator()), g(flat, b.allocator()), v(flat, b.allocator()),
        w(flat, b.allocator());
    const Tensor words({{kStepStateWords}, DType::u64, Layout::plain}, b.allocator());
    const std::vector<float> ones(kCount, 1.0f);
    b.upload(stream(), losses.data(), x);
    b.upload(stream(), &step, words);
    for (const Tensor& t : {g, v, w}) b.upload(stream(), ones.data(), t);
    b.halt_unless_finite(stream(), x, words);
    b.sgd_update(stream(), spec, g, words, v, w);
    StepState after;
    std::vector<float> weights(kCount);
    b.download(stream(), words, &after);
    b.download(stream(), w, weights.data());
    b.synchronize(stream());
    EXPECT_EQ(after.step, step.step);
    EXPECT_EQ(after.rate, step.rate);
    EXPECT_EQ(weights == ones, after.halted != 0);
    return after.halted;
  };
  EXPECT_EQ(run(-1, 0, 0), 0u);
  EXPECT_EQ(run(-1, 0, 1), 1u);
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const int64_t at : {int64_t{0}, int64_t{127}, int64_t{128}, kCount - 1})
    for (const float bad : {kInfinity, -kInfinity, std::nanf("")}) EXPECT_EQ(run(at, bad, 0), 1u);
}

INSTANTIATE_TEST_SUITE_P(Backends, PlainOpTest,
                         testing::ValuesIn(backend_cases({DType::f32, DType::bf16})), param_name);
INSTANTIATE_TEST_SUITE_P(Backends, MasterOpTest, testing::ValuesIn(backend_cases({DType::f32})),
                         param_name);

}  // namespace ft::test
