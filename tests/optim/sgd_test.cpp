// The optimizer over a whole parameter set, and the schedule.
#include "optim/sgd.h"

#include <gtest/gtest.h>

#include "layers/linear.h"
#include "optim/schedule.h"

namespace ft {
namespace {

Graph two_layers() {
  Graph g;
  ValueId v = g.image_input("image", 2, 1, 1);
  v = g.add("a", std::make_unique<Linear>(3), {v});
  g.add("b", std::make_unique<Linear>(2), {v});
  return g;
}

TEST(Sgd, groups_have_their_own_rate_and_frozen_parameters_stay) {
  Graph g = two_layers();
  g.parameters()[0].lr_factor = 20;     // a.weight
  g.parameters()[2].decay_factor = 0;   // b.weight
  g.parameters()[3].trainable = false;  // b.bias
  const auto backend = make_backend({}, {1});
  const auto stream = backend->make_stream();
  ParameterSet set(g, *backend);
  set.initialize(1, stream->ref());
  const std::vector<float> ones{1, 1};
  set.set(3, ones, stream->ref());
  Sgd sgd(set, *backend, {SgdSpec::Rule::caffe, 0.5, 0.1});
  const Tensor state({{kStepStateWords}, DType::u64, Layout::plain}, backend->allocator());
  const StepState now{0, 0, 0, 0.01};
  backend->upload(stream->ref(), &now, state);
  const std::vector<float> before[] = {set.get(0, stream->ref()), set.get(1, stream->ref()),
                                       set.get(2, stream->ref())};
  const uint64_t version = set.version(0), frozen_version = set.version(3);
  for (int i = 0; i < 3; ++i)
    for (int64_t k = 0; k < set.grad(i).shape().elements(); ++k) set.grad(i).as<float>()[k] = 2;
  sgd.step(stream->ref(), set.gradients(), state);
  // w - rate * factor * (2 + l2 * decay factor * w)
  const double factors[][2] = {{20, 0.1}, {1, 0.1}, {1, 0}};
  for (int i = 0; i < 3; ++i) {
    const std::vector<float> after = set.get(i, stream->ref());
    for (size_t k = 0; k < after.size(); ++k) {
      const double w = before[i][k];
      EXPECT_NEAR(after[k], w - 0.01 * factors[i][0] * (2 + factors[i][1] * w), 1e-6) << i;
    }
  }
  EXPECT_EQ(set.get(3, stream->ref()), ones);
  EXPECT_NE(set.version(0), version);
  EXPECT_EQ(set.version(3), frozen_version);
}

TEST(Schedule, step_drops_at_whole_periods) {
  const Schedule s{Schedule::Kind::step, 0.1, 0.5, 2};
  EXPECT_DOUBLE_EQ(s.rate(0), 0.1);
  EXPECT_DOUBLE_EQ(s.rate(1), 0.1);
  EXPECT_DOUBLE_EQ(s.rate(2), 0.05);
  EXPECT_DOUBLE_EQ(s.rate(5), 0.025);
  EXPECT_DOUBLE_EQ((Schedule{Schedule::Kind::constant, 0.1, 0.5, 2}.rate(9)), 0.1);
}

}  // namespace
}  // namespace ft
