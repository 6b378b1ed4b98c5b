// Who judges the judge: the fixture must notice every way in which an op can misbehave.
#include <gtest/gtest-spi.h>

#include <cmath>
#include <cstdlib>
#include <limits>

#include "tests/support/op_test.h"

namespace ft::test {

class BackendJudgeTest : public BackendTest {
 protected:
  // The failures that fn reports.
  template <class Fn>
  std::string failures(Fn fn) {
    testing::TestPartResultArray results;
    {
      testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &results);
      fn();
    }
    std::string text;
    for (int i = 0; i < results.size(); ++i) text += results.GetTestPartResult(i).message();
    return text;
  }
  std::string failures_of_run(const std::function<void()>& fn) {
    return failures([&] { run_twice(fn, {&x_}, {&y_}, {&workspace_}); });
  }
  static bool says(const std::string& text, const char* what) {
    return text.find(what) != std::string::npos;
  }

  void SetUp() override {
    BackendTest::SetUp();
    values_ = draw({2, 3, 2, 2});
    x_ = input("x", values_, {{2, 3, 2, 2}, DType::f32, Layout::nchw8c});
    y_ = output("y", x_.tensor().spec());
    workspace_ = scratch("workspace", 64);
  }
  float* y() { return y_.tensor().as<float>(); }
  Tensor values_;
  Buffer x_, y_, workspace_;
};

TEST_P(BackendJudgeTest, accepts_what_is_right) {
  EXPECT_EQ(failures_of_run([&] { backend().convert(stream(), x_, y_); }), "");
  EXPECT_EQ(failures([&] { expect_near(y_, values_, 1); }), "");
  EXPECT_EQ(failures([&] { expect_equal(y_, values_); }), "");
}

TEST_P(BackendJudgeTest, sees_writes_outside_of_a_buffer) {
  EXPECT_TRUE(says(failures_of_run([&] { y()[-1] = 0; }), "y was written before its begin"));
  EXPECT_TRUE(says(failures_of_run([&] { y()[64] = 0; }), "y was written past its end"));
  EXPECT_TRUE(says(failures_of_run([&] { workspace_.tensor().as<uint8_t>()[64] = 0; }),
                   "workspace was written past its end"));
  EXPECT_TRUE(
      says(failures_of_run([&] { x_.tensor().as<float>()[0] += 1; }), "the input x was written"));
}

TEST_P(BackendJudgeTest, sees_elements_that_are_not_written_or_summed_onto) {
  failures_of_run([&] {
    backend().convert(stream(), x_, y_);
    y()[8] = std::numeric_limits<float>::quiet_NaN();
  });
  EXPECT_TRUE(says(failures([&] { expect_near(y_, values_, 1); }), "1 of 24 elements are off"));
  failures_of_run([&] { y()[0] += 1; });  // onto poison
  EXPECT_TRUE(says(failures([&] { expect_near(y_, values_, 1); }), "24 of 24 elements are off"));
}

TEST_P(BackendJudgeTest, sees_two_runs_that_differ) {
  int runs = 0;
  EXPECT_TRUE(says(failures_of_run([&] {
                     backend().convert(stream(), x_, y_);
                     y()[5] = static_cast<float>(++runs);
                   }),
                   "y differs between two runs"));
}

TEST_P(BackendJudgeTest, sees_a_small_error_and_its_place) {
  failures_of_run([&] {
    backend().convert(stream(), x_, y_);
    float& element = y()[y_.tensor().spec().offset(1, 2, 0, 1)];
    element *= 1.00001f;
  });
  const std::string text = failures([&] { expect_near(y_, values_, 1); });
  EXPECT_TRUE(says(text, "1 of 24 elements are off; worst at [1,2,0,1]")) << text;
}

TEST_P(BackendJudgeTest, sees_padding_that_is_not_zero) {
  failures_of_run([&] {
    backend().convert(stream(), x_, y_);
    y()[3] = 1;  // channel 3 of 3, padded to 8
  });
  EXPECT_TRUE(says(failures([&] { expect_near(y_, values_, 1); }), "is not zero"));
}

// A backend that has to be there fails the test where it is missing, instead of skipping it.
class RequiredBackendTest : public BackendJudgeTest {
 protected:
  void SetUp() override {
    setenv("FT_REQUIRE_BACKENDS", "ref,cuda", 1);
    text_ = failures([&] { BackendTest::SetUp(); });
    unsetenv("FT_REQUIRE_BACKENDS");
  }
  std::string text_;
};

TEST_P(RequiredBackendTest, fails_where_it_is_missing) {
  if (text_.empty()) GTEST_SKIP() << "this machine has CUDA";
  EXPECT_TRUE(says(text_, "FT_REQUIRE_BACKENDS asks for cuda")) << text_;
}

INSTANTIATE_TEST_SUITE_P(Fixture, RequiredBackendTest,
                         testing::Values(BackendCase{"cuda", DType::f32}), param_name);
INSTANTIATE_TEST_SUITE_P(Fixture, BackendJudgeTest, testing::Values(BackendCase{"ref", DType::f32}),
                         param_name);

}  // namespace ft::test
