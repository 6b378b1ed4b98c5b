// The stand-ins for cuDNN and cuBLASLt, used through the backend's own layers over them: they compute what is asked,
// offer engines to choose among, and refuse what is left out or does not fit.
#include <array>
#include <cmath>

#include "tensor/cuda/conv2d_graph.h"
#include "tensor/cuda/lt_product.h"
#include "tensor/error.h"
#include "tests/sim/sim_case.h"

namespace sim {
namespace {

using namespace ft;        // NOLINT: the backend's names
using namespace ft::cuda;  // NOLINT

class LibrariesTest : public SimTest {
 protected:
  static Conv2dSpec spec(DType type = DType::f32, bool tf32 = false) {
    Conv2dSpec s;
    s.x = {{2, 8, 5, 4}, type, Layout::nhwc};
    s.k = 16;
    s.r = s.s = 3;
    s.pad_h = s.pad_w = 1;
    s.bias = s.add_residual = s.relu = true;
    s.numerics.compute = type;
    s.numerics.tf32 = tf32;
    return s;
  }
  static CudnnPlan plan(cudnnHandle_t handle, const Conv2dSpec& s, PassKind pass,
                        const EngineRules& rules) {
    return make_conv2d_plan(PlanTarget(handle), s, pass, rules);
  }
  static std::string chosen(const Conv2dSpec& s, bool deterministic = true) {
    CudnnHandle handle;
    FT_CUDNN(cudnnCreate(handle.receive()));
    EngineRules rules = rules_for(s.numerics);
    rules.deterministic = deterministic;
    return plan(handle.get(), s, PassKind::forward, rules).describe();
  }
};

TEST_F(LibrariesTest, engines_are_chosen_by_the_rules) {
  EXPECT_EQ(chosen(spec()), "cudnn:17");
  EXPECT_EQ(chosen(spec(DType::f32, true)), "cudnn:16 tensor-core");
  EXPECT_EQ(chosen(spec(DType::bf16)), "cudnn:16 tensor-core");
  EXPECT_EQ(chosen(spec(DType::bf16), false), "cudnn:11 tensor-core nondeterministic");
}

// A convolution with its whole epilogue, made and run.
void make_and_run() {
  CudnnHandle handle;
  FT_CUDNN(cudnnCreate(handle.receive()));
  const TestStream s;
  FT_CUDNN(cudnnSetStream(handle.get(), s));
  Conv2dSpec a;
  a.x = {{1, 8, 2, 2}, DType::f32, Layout::nhwc};
  a.k = 4;
  a.bias = a.add_residual = a.relu = true;
  CudnnPlan plan =
      make_conv2d_plan(PlanTarget(handle.get()), a, PassKind::forward, rules_for(a.numerics));
  const Floats x(32), w(32), z(16), b(4), y(16), workspace(plan.workspace_bytes() / 4);
  plan.execute(handle.get(),
               std::array<void*, 5>{x.device(), w.device(), z.device(), b.device(), y.device()},
               workspace.device());
  s.wait();
}

TEST_F(LibrariesTest, every_attribute_that_is_left_out_is_missed) {
  make_and_run();
  const int64_t attributes = counts()["cudnnBackendSetAttribute"];
  EXPECT_GT(attributes, 60);
  int64_t all_refused = 0;
  for (int64_t i = 1; i <= attributes; ++i) {
    Settings s;
    s.failure = {"cudnnBackendSetAttribute", static_cast<int>(i), kForgotten};
    reset(s);
    int refused = 0;
    try {
      make_and_run();
    } catch (const Error&) {
      ++refused;
    }
    EXPECT_FALSE(take_reports().empty()) << i;
    all_refused += refused;
  }
  // All but those of the plans of engines that are passed over in any case.
  EXPECT_GE(all_refused, attributes - 6);
}

TEST_F(LibrariesTest, places_in_memory_are_checked) {
  CudnnHandle handle;
  FT_CUDNN(cudnnCreate(handle.receive()));
  const TestStream s;
  FT_CUDNN(cudnnSetStream(handle.get(), s));
  Conv2dSpec a;
  a.x = {{1, 4, 2, 2}, DType::f32, Layout::nhwc};
  a.k = 4;
  CudnnPlan p = plan(handle.get(), a, PassKind::forward, rules_for(a.numerics));
  const Floats x(16), w(32), y(16), workspace(p.workspace_bytes() / 4);
  const auto refusal = [&](void* at_x, void* at_y, void* at_workspace) {
    EXPECT_THROW(
        p.execute(handle.get(), std::array<void*, 3>{at_x, w.device(), at_y}, at_workspace), Error);
    return the_report();
  };
  EXPECT_EQ(refusal(x.device() + 1, y.device(), workspace.device()),
            "cuDNN: tensor 1: no device memory of that size");
  EXPECT_EQ(refusal(x.device(), w.device() + 1, workspace.device()),
            "cuDNN: tensor 3 is not aligned as promised");
  EXPECT_EQ(refusal(x.device(), x.device(), workspace.device()),
            "cuDNN: the output lies in tensor 1");
  EXPECT_EQ(refusal(x.device(), y.device(), workspace.device() + 4), "cuDNN: too little workspace");
  EXPECT_EQ(refusal(x.device(), y.device(), &x[0]), "cuDNN: too little workspace");
}

// 1 + 2^-11 is not a number of TF32; the product of two ones beside it shows which inputs were rounded.
TEST_F(LibrariesTest, tf32_rounds_inputs_and_f32_does_not) {
  for (const bool tf32 : {false, true}) {
    CudnnHandle dnn;
    CublasLtHandle lt;
    FT_CUDNN(cudnnCreate(dnn.receive()));
    FT_CUBLAS(cublasLtCreate(lt.receive()));
    const TestStream s;
    FT_CUDNN(cudnnSetStream(dnn.get(), s));
    const Floats x(4), w(4), y(4), workspace(1000);
    const float fine = 1 + std::ldexp(1.0f, -11) + std::ldexp(1.0f, -13);
    for (size_t i = 0; i < 4; ++i) {
      x[i] = i == 0 ? fine : 0;
      w[i] = 1;
    }
    x.up(s);
    w.up(s);
    Conv2dSpec a;
    a.x = {{1, 4, 1, 1}, DType::f32, Layout::nhwc};
    a.k = 1;
    a.numerics.tf32 = tf32;
    plan(dnn.get(), a, PassKind::forward, rules_for(a.numerics))
        .execute(dnn.get(), std::array<void*, 3>{x.device(), w.device(), y.device()},
                 workspace.device());
    y.down(s);
    s.wait();
    const float want = tf32 ? 1 + std::ldexp(1.0f, -10) : fine;
    EXPECT_EQ(y[0], want);
    ProductSpec product{1, 1, 4};
    product.tf32 = tf32;
    LtProduct(lt.get(), product)
        .run(lt.get(), s, x.device(), w.device(), nullptr, y.device(), workspace.device());
    y.down(s);
    s.wait();
    EXPECT_EQ(y[0], want);
  }
}

TEST_F(LibrariesTest, products_are_those_of_blas) {
  CublasLtHandle lt;
  FT_CUBLAS(cublasLtCreate(lt.receive()));
  const TestStream s;
  constexpr int64_t kM = 3, kN = 2, kK = 5;
  const Floats a(kM * kK), b(kK * kN), bias(kM), d(kM * kN), workspace(1000);
  for (const Floats* f : {&a, &b, &bias}) f->up(s);
  for (const bool ta : {false, true})
    for (const bool tb : {false, true}) {
      LtProduct product(lt.get(), {kM, kN, kK, ta, tb, DType::f32, DType::f32, true, true, false});
      product.run(lt.get(), s, a.device(), b.device(), bias.device(), d.device(),
                  workspace.device());
      d.down(s);
      s.wait();
      for (int64_t i = 0; i < kM; ++i)
        for (int64_t j = 0; j < kN; ++j) {
          float sum = bias[static_cast<size_t>(i)];
          for (int64_t k = 0; k < kK; ++k)
            sum += a[static_cast<size_t>(ta ? i * kK + k : k * kM + i)] *
                   b[static_cast<size_t>(tb ? k * kN + j : j * kK + k)];
          EXPECT_EQ(d[static_cast<size_t>(j * kM + i)], std::max(sum, 0.0f)) << ta << tb << i << j;
        }
    }
  LtProduct product(lt.get(), {kM, kN, kK});
  EXPECT_THROW(
      product.run(lt.get(), s, a.device(), b.device(), nullptr, a.device(), workspace.device()),
      Error);
  EXPECT_EQ(the_report(), "cuBLASLt: D lies in an operand");
}

}  // namespace
}  // namespace sim
