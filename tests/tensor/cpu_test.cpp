// What the CPU backend promises beyond the results of its ops: packed weights follow their version,
// a step allocates nothing, the number of threads and the calling thread do not matter, faults are
// told.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

#include "tensor/rng.h"
#include "tests/support/backend_test.h"

namespace ft::test {

class CpuTest : public testing::Test {
 protected:
  void SetUp() override { open(2); }
  void open(int threads) {
    try {
      backend_ = make_backend({Device::Kind::cpu, 0}, {.threads = threads});
    } catch (const Error& e) {
      GTEST_SKIP() << e.line();
    }
  }

  Backend& backend() { return *backend_; }
  uint64_t allocations() {
    return dynamic_cast<CountingAllocator&>(backend().allocator()).allocations();
  }
  Tensor tensor(const TensorSpec& spec) { return Tensor(spec, backend().allocator()); }
  Tensor scratch(size_t bytes) {
    return tensor({{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain});
  }
  // Normal numbers in f32 and plain, by place alone.
  Tensor drawn(const Shape& shape, uint64_t seed = 1) {
    Tensor t({shape}, host_);
    const Rng rng(seed, RngPurpose::test);
    for (int64_t i = 0; i < shape.elements(); ++i)
      t.as<float>()[i] = static_cast<float>(rng.normal(static_cast<uint64_t>(i)));
    return t;
  }
  Tensor laid_out(const Tensor& plain, const TensorSpec& spec) {
    Tensor t = tensor(spec);
    backend().convert(stream_, plain, t);
    return t;
  }
  static std::string bytes_of(const Tensor& t) {
    return {static_cast<const char*>(t.data()), t.bytes()};
  }

  static Conv2dSpec conv(PassSet passes = {}) {
    Conv2dSpec spec;
    spec.x = {{2, 16, 9, 7}};
    spec.k = 24;
    spec.r = spec.s = 3;
    spec.pad_h = spec.pad_w = 1;
    spec.passes = passes;
    return spec;
  }

  HostAllocator host_;  // outlives every backend
  std::unique_ptr<Backend> backend_;
  StreamRef stream_{nullptr};
};

TEST_F(CpuTest, weights_are_packed_once_a_version) {
  const Conv2dSpec spec = conv({true, false});
  const auto plan = backend().make_conv2d(spec);
  const Tensor x = drawn(spec.x.shape), w = drawn(spec.weight_shape(), 2), none;
  Tensor y = tensor(plan->y_spec()), workspace = scratch(plan->workspace_bytes());
  const auto run = [&](uint64_t version) {
    plan->forward(stream_, x, {w, none, version}, none, y, workspace);
    return bytes_of(y);
  };
  const std::string first = run(1);
  for (int64_t i = 0; i < w.shape().elements(); ++i) w.as<float>()[i] *= 2;
  EXPECT_TRUE(run(1) == first) << "packed again though the version did not move";
  EXPECT_TRUE(run(2) != first) << "the new version was not packed";
  EXPECT_GT(plan->kept_bytes(), 0u);
}

TEST_F(CpuTest, plans_of_the_same_weights_share_a_packed_copy) {
  const Conv2dSpec spec = conv();
  const Tensor x = drawn(spec.x.shape), w = drawn(spec.weight_shape()), none;
  const auto train = backend().make_conv2d(spec), evaluate = backend().make_conv2d(spec);
  Tensor y = tensor(train->y_spec()), workspace = scratch(train->workspace_bytes());
  train->forward(stream_, x, {w, none, 1}, none, y, workspace);
  const uint64_t before = allocations();
  evaluate->forward(stream_, x, {w, none, 1}, none, y, workspace);
  EXPECT_EQ(allocations(), before) << "a second copy of the same weights";
  const Tensor other = drawn(spec.weight_shape(), 3);
  const uint64_t then = allocations();
  evaluate->forward(stream_, x, {other, none, 1}, none, y, workspace);
  EXPECT_EQ(allocations(), then + 1) << "other weights need a copy of their own";
}

TEST_F(CpuTest, repeated_steps_allocate_nothing) {
  const Conv2dSpec c = conv({true, true});
  const auto plan = backend().make_conv2d(c);
  MatmulSpec m;
  m.x = plan->y_spec();
  m.out = 5;
  m.bias = true;
  m.passes = {true, true};
  const auto head = backend().make_matmul(m);
  const Tensor x = drawn(c.x.shape), w = drawn(c.weight_shape()), none;
  const Tensor v = drawn(m.weight_shape()), b = drawn({5});
  Tensor h = tensor(plan->y_spec()), y = tensor(head->y_spec()), dh = tensor(h.spec());
  Tensor dx = tensor(x.spec()), dw = tensor(w.spec()), dv = tensor(v.spec()), db = tensor(b.spec());
  Tensor workspace = scratch(std::max(plan->workspace_bytes(), head->workspace_bytes()));
  Tensor back = tensor({h.shape()});
  const auto step = [&](uint64_t version) {
    plan->forward(stream_, x, {w, none, version}, none, h, workspace);
    head->forward(stream_, h, {v, b, version}, y, workspace);
    head->backward_data(stream_, y, {v, b, version}, dh, workspace);
    head->backward_weights(stream_, h, y, dv, db, workspace);
    plan->backward_data(stream_, dh, {w, none, version}, dx, workspace);
    plan->backward_weights(stream_, x, dh, dw, none, workspace);
    backend().convert(stream_, h, back);
  };
  step(1);
  const uint64_t before = allocations();
  for (uint64_t version = 2; version < 5; ++version) step(version);
  EXPECT_EQ(allocations(), before);
}

// Few blocks of channels for many threads: the batch is split, and sums are joined in order.
TEST_F(CpuTest, batchnorm_gives_the_same_for_every_number_of_threads) {
  const Tensor plain = drawn({6, 20, 7, 5}), dy_plain = drawn({6, 20, 7, 5}, 2);
  std::string first_y;
  std::vector<float> first_dx;
  for (int threads : {1, 2, 3, 5, 16}) {
    open(threads);
    BatchNorm2dSpec spec;
    spec.x = {plain.shape(), DType::f32, Layout::nchw16c};
    spec.relu = true;
    spec.passes = {true, true};
    const auto plan = backend().make_batchnorm2d(spec);
    const Tensor x = laid_out(plain, spec.x), dy = laid_out(dy_plain, spec.x);
    Tensor y = tensor(spec.x), dx = tensor(spec.x), aux = scratch(plan->aux_bytes());
    Tensor workspace = scratch(plan->workspace_bytes());
    const BatchNormParams params{drawn({20}), drawn({20}, 2), drawn({20}, 3), drawn({20}, 4)};
    plan->forward(stream_, x, {}, params, y, aux, workspace);
    plan->backward(stream_, x, dy, params, aux, {dx, {}, {}, {}}, workspace);
    const std::vector<float> values(dx.as<float>(), dx.as<float>() + spec.x.padded_elements());
    if (threads == 1) first_dx = values;
    for (size_t i = 0; i < values.size(); ++i)
      ASSERT_NEAR(values[i], first_dx[i], 1e-5) << threads << " threads, element " << i;
  }
}

TEST_F(CpuTest, another_thread_may_use_the_backend) {
  const Conv2dSpec spec = conv();
  const auto plan = backend().make_conv2d(spec);
  const Tensor x = drawn(spec.x.shape), w = drawn(spec.weight_shape()), none;
  Tensor y = tensor(plan->y_spec()), workspace = scratch(plan->workspace_bytes());
  const auto run = [&] { plan->forward(stream_, x, {w, none, 1}, none, y, workspace); };
  run();
  const std::string here = bytes_of(y);
  std::memset(y.data(), 0xff, y.bytes());
  std::thread(run).join();
  EXPECT_TRUE(bytes_of(y) == here);
}

TEST_F(CpuTest, not_a_number_survives_max_pooling_and_relu) {
  const TensorSpec spec{{1, 16, 4, 4}, DType::f32, Layout::nchw16c};
  Tensor x = laid_out(drawn(spec.shape), spec);
  const int64_t at = spec.offset(0, 5, 2, 1);
  x.as<float>()[at] = std::numeric_limits<float>::quiet_NaN();
  Tensor y = tensor(spec);
  backend().relu_forward(stream_, x, y);
  EXPECT_TRUE(std::isnan(y.as<float>()[at]));
  const auto pool = backend().make_pool2d({.x = spec, .passes = {}});
  Tensor small = tensor(pool->y_spec());
  pool->forward(stream_, x, small, {}, {});
  EXPECT_TRUE(std::isnan(small.as<float>()[pool->y_spec().offset(0, 5, 1, 0)]));
  EXPECT_FALSE(std::isnan(small.as<float>()[pool->y_spec().offset(0, 5, 0, 0)]));
}

TEST_F(CpuTest, says_which_kernel_a_pass_runs) {
  const auto plan = backend().make_conv2d(conv({true, false}));
  EXPECT_NE(plan->describe(PassKind::forward), "");
  EXPECT_EQ(plan->describe(PassKind::backward_weights), "none");
  EXPECT_NE(backend().describe().find("oneDNN"), std::string::npos);
  EXPECT_NE(backend().describe().find("2 threads"), std::string::npos);
}

TEST_F(CpuTest, refuses_bf16_with_a_remedy_where_the_processor_has_none) {
  if (backend().supports(DType::bf16)) GTEST_SKIP() << backend().describe() << " computes in bf16";
  Conv2dSpec spec = conv();
  spec.x.dtype = DType::bf16;
  try {
    backend().make_conv2d(spec);
    FAIL() << "no error";
  } catch (const Error& e) {
    EXPECT_EQ(e.number(), 3021);
    EXPECT_NE(std::string(e.what()).find("--precision f32"), std::string::npos);
  }
}

}  // namespace ft::test
