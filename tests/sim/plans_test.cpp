// Which engine a convolution runs, on the simulated device: cuDNN's first within the rules, the fastest when timed, or
// one that was saved, and that saved plans compute the same.
#include <cstring>
#include <map>
#include <memory>

#include "tensor/backend.h"
#include "tests/sim/sim_case.h"

extern "C" ft::Backend* ft_make_backend(int index, const ft::BackendOptions*);

namespace sim {
namespace {

using namespace ft;  // NOLINT

class MemoryStore final : public PlanStore {
 public:
  void match(const std::string& library, const std::string& device) override {
    where = library + " on " + device;
  }
  const SavedPlan* find(const std::string& name) override {
    const auto at = plans.find(name);
    return at == plans.end() ? nullptr : &at->second;
  }
  void keep(const std::string& name, const SavedPlan& plan) override { plans[name] = plan; }

  std::string where;
  std::map<std::string, SavedPlan> plans;
};

Conv2dSpec small_conv(bool tf32 = false) {
  Conv2dSpec c;
  c.x = {{2, 8, 6, 5}, DType::f32, Layout::nhwc};
  c.k = 8;
  c.r = c.s = 3;
  c.pad_h = c.pad_w = 1;
  c.bias = c.relu = c.add_residual = true;
  c.passes = {true, true};
  c.numerics.tf32 = tf32;
  return c;
}

std::unique_ptr<Backend> make(const BackendOptions& options) {
  return std::unique_ptr<Backend>(ft_make_backend(0, &options));
}

// All that the three passes write.
std::vector<float> results_of(Backend& backend, Conv2dPlan& plan, const Conv2dSpec& spec) {
  const auto stream = backend.make_stream();
  const StreamRef s = stream->ref();
  const auto drawn = [&](const TensorSpec& t, int step) {
    const Tensor host(t, backend.host_allocator()), device(t, backend.allocator());
    for (size_t i = 0; i < t.bytes() / sizeof(float); ++i)
      host.as<float>()[i] = static_cast<float>(static_cast<int>(i) * step % 17 - 8) / 8;
    backend.upload(s, host.data(), device);
    backend.synchronize(s);
    return device;
  };
  const TensorSpec w{spec.weight_shape(), DType::f32, Layout::nhwc},
      b{{spec.k}, DType::f32, Layout::plain};
  const Tensor x = drawn(spec.x, 3), y = drawn(plan.y_spec(), 5), dx = drawn(spec.x, 1),
               dw = drawn(w, 1), db = drawn(b, 1);
  const Tensor residual = drawn(plan.y_spec(), 7);
  const Weights weights{drawn(w, 5), drawn(b, 3), 1};
  const auto bytes = static_cast<int64_t>(plan.workspace_bytes());
  const Tensor workspace({{bytes}, DType::u8, Layout::plain}, backend.allocator());
  plan.forward(s, x, weights, residual, y, workspace);
  plan.backward_data(s, y, weights, dx, workspace);
  plan.backward_weights(s, x, y, dw, db, workspace);
  std::vector<float> all;
  for (const Tensor& t : {y, dx, dw, db}) {
    const Tensor host(t.spec(), backend.host_allocator());
    backend.download(s, t, host.data());
    backend.synchronize(s);
    all.insert(all.end(), host.as<float>(), host.as<float>() + t.bytes() / sizeof(float));
  }
  return all;
}

class PlansTest : public SimTest {
 protected:
  // Makes the plan and runs it with these options; notes how many plans cuDNN built and loaded.
  std::vector<float> run(const BackendOptions& options, const Conv2dSpec& spec = small_conv()) {
    reset({});
    const auto backend = make(options);
    const auto plan = backend->make_conv2d(spec);
    engine = plan->describe(PassKind::forward);
    workspace = plan->pass_workspace(PassKind::forward);
    made = counts();
    return results_of(*backend, *plan, spec);
  }
  std::string engine;
  size_t workspace = 0;
  std::map<std::string, int64_t> made;  // counts once the plan is there
};

TEST_F(PlansTest, saved_plans_compute_the_same_and_nothing_is_built) {
  const auto store = std::make_shared<MemoryStore>();
  BackendOptions options;
  options.plans = store;
  const auto first = run(options);
  EXPECT_EQ(store->plans.size(), 3u);
  EXPECT_GT(made["plans built"], 2);
  EXPECT_NE(store->where.find(" on simulated (sm_90)"), std::string::npos) << store->where;
  EXPECT_EQ(run(options), first);
  EXPECT_EQ(made["plans built"], 0);
  EXPECT_EQ(made["plans loaded"], 3);
  EXPECT_EQ(engine, "cudnn:17");
}

TEST_F(PlansTest, a_saved_plan_that_breaks_the_rules_is_not_taken) {
  const auto store = std::make_shared<MemoryStore>();
  BackendOptions options;
  options.plans = store;
  Conv2dSpec fast = small_conv(true);
  fast.numerics.deterministic = false;
  run(options, fast);
  EXPECT_EQ(engine, "cudnn:11 tensor-core nondeterministic");
  run(options, small_conv(true));
  EXPECT_EQ(engine, "cudnn:16 tensor-core");
  EXPECT_EQ(made["plans loaded"], 0);
}

TEST_F(PlansTest, plans_of_different_convolutions_have_different_names) {
  const auto store = std::make_shared<MemoryStore>();
  BackendOptions options;
  options.plans = store;
  Conv2dSpec other = small_conv();
  other.pad_w = 2;
  Conv2dSpec strided = small_conv();
  strided.stride_h = 2;
  Conv2dSpec plain = small_conv();
  plain.relu = false;
  for (const Conv2dSpec& spec : {small_conv(), small_conv(true), other, strided})
    run(options, spec);
  EXPECT_EQ(store->plans.size(), 12u);
  run(options, plain);  // another forward pass alone
  EXPECT_EQ(store->plans.size(), 13u);
}

TEST_F(PlansTest, timing_runs_every_engine_within_the_rules_and_leaves_no_memory) {
  BackendOptions options;
  options.time_engines = true;
  run(options, small_conv(true));
  EXPECT_TRUE(engine == "cudnn:16 tensor-core" || engine == "cudnn:17") << engine;
  EXPECT_EQ(made["cudnnBackendExecute"], 3 * 2 * 6);  // passes, engines, runs
  EXPECT_EQ(made["blocks of memory"], 0);
  run({}, small_conv(true));
  EXPECT_EQ(made["cudnnBackendExecute"], 0);
}

TEST_F(PlansTest, the_workspace_limit_is_that_of_the_options) {
  BackendOptions options;
  options.workspace_limit = 1999;
  EXPECT_THROW(run(options), Error);
  options.workspace_limit = 2000;
  run(options);
  EXPECT_EQ(engine, "cudnn:17");
}

}  // namespace
}  // namespace sim
