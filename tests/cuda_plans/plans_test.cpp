// Every cuDNN plan that the networks need, asked of the real cuDNN for GPUs that are only
// described, through the same builders as the backend. What is shown: cuDNN has an engine within
// the rules (deterministic, workspace cap, no tensor cores in strict f32) and compiles it. What is
// not shown: that it computes the right numbers, and how fast. Here an H100 at batch 32; every GPU and
// form of a step is in matrix_test.cpp. FT_SHOW_PLANS=1 prints one line a plan.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <set>

#include "apps/plan/gpu.h"
#include "apps/plan/planning_backend.h"
#include "layers/compile.h"
#include "models/model.h"
#include "tensor/cuda/conv2d_graph.h"
#include "tests/cuda_plans/in_child.h"

namespace ft::test {
namespace {

constexpr int64_t kBatch = 32;

std::string description_of(const std::string& gpu) { return plan::find_gpu(gpu).json; }

NumericsPolicy numerics_named(const std::string& name) {
  NumericsPolicy numerics;
  numerics.compute = name == "bf16" ? DType::bf16 : DType::f32;
  numerics.tf32 = name == "tf32";
  return numerics;
}

// The convolutions of one training step with nothing frozen.
std::vector<Conv2dSpec> convolutions_of(const std::string& model_name,
                                        const NumericsPolicy& numerics) {
  const ModelInfo& info = find_model(model_name);
  const int side = info.recipe.input_size;
  const Model model = build_model(info, 1000, side, side);
  plan::PlanningBackend backend;
  CompileOptions options;
  options.batch = kBatch;
  options.mode = Mode::training;
  options.numerics = numerics;
  const CompiledGraph compiled(model.graph, backend, options);
  return backend.convolutions();
}

// The forward forms of a convolution: as trained; in inference with its batch-norm folded into bias
// and with the ReLU and the residual that follow it.
std::vector<Conv2dSpec> forward_forms(const Conv2dSpec& trained) {
  std::vector<Conv2dSpec> forms{trained};
  for (const auto& [residual, relu] : {std::pair{false, false}, {false, true}, {true, true}}) {
    Conv2dSpec form = trained;
    form.bias = true;
    form.add_residual = residual;
    form.relu = relu;
    forms.push_back(form);
  }
  return forms;
}

class Checker {
 public:
  Checker(const std::string& gpu, const NumericsPolicy& numerics)
      : target_(description_of(gpu)), rules_(cuda::rules_for(numerics)) {}

  void check(const Conv2dSpec& spec, PassKind pass) {
    const std::string name = cuda::name_of(spec, pass);
    if (!done_.insert(name).second) return;
    const auto start = std::chrono::steady_clock::now();
    try {
      const cuda::CudnnPlan plan = cuda::make_conv2d_plan(target_, spec, pass, rules_);
      const std::chrono::duration<double, std::milli> ms = std::chrono::steady_clock::now() - start;
      if (std::getenv("FT_SHOW_PLANS") != nullptr)
        std::printf("%-72s %11zu bytes %5.0f ms  %s\n", name.c_str(), plan.workspace_bytes(),
                    ms.count(), plan.describe().c_str());
      if (!plan.deterministic()) fault(name, "not deterministic: " + plan.describe());
      if (plan.workspace_bytes() > cuda::kConvolutionWorkspace)
        fault(name, "workspace of " + std::to_string(plan.workspace_bytes()) + " bytes");
      const bool tensor_cores = plan.describe().find("tensor-core") != std::string::npos;
      if (tensor_cores && !rules_.tensor_cores)
        fault(name, "tensor cores in strict f32: " + plan.describe());
    } catch (const Error& e) {
      fault(name, e.what());
    }
  }

  const std::string& faults() const { return faults_; }
  size_t plans() const { return done_.size(); }

 private:
  void fault(const std::string& name, const std::string& what) {
    faults_ += name + ": " + what + "\n";
  }

  cuda::PlanTarget target_;
  cuda::EngineRules rules_;
  std::set<std::string> done_;  // equal convolutions are asked once
  std::string faults_;
};

struct Case {
  std::string gpu, model, numerics;
  size_t convolutions;  // of the network
};
void PrintTo(const Case& c, std::ostream* out) {
  *out << c.gpu << " " << c.model << " " << c.numerics;
}

class CudaPlans : public testing::TestWithParam<Case> {};

TEST_P(CudaPlans, every_convolution_has_a_plan_within_the_rules) {
  const Case& c = GetParam();
  const std::string faults = in_child_with_driver([&] {
    const NumericsPolicy numerics = numerics_named(c.numerics);
    const std::vector<Conv2dSpec> convolutions = convolutions_of(c.model, numerics);
    if (convolutions.size() != c.convolutions)
      return "the network has " + std::to_string(convolutions.size()) + " convolutions";
    Checker checker(c.gpu, numerics);
    int stems = 0;  // the data gradient of the first convolution is never asked for
    for (const Conv2dSpec& spec : convolutions) {
      for (const Conv2dSpec& form : forward_forms(spec)) checker.check(form, PassKind::forward);
      checker.check(spec, PassKind::backward_weights);
      spec.passes.backward_data ? checker.check(spec, PassKind::backward_data) : void(++stems);
    }
    if (stems != 1) return std::to_string(stems) + " convolutions without a data gradient";
    std::printf("%zu plans\n", checker.plans());
    return checker.faults();
  });
  EXPECT_EQ(faults, "");
}

std::vector<Case> cases(const std::string& gpu) {
  std::vector<Case> all;
  for (const auto& [model, convolutions] : {std::pair<const char*, size_t>{"alexnet", 5},
                                            {"alexnet-tv", 5},
                                            {"resnet50", 53},
                                            {"resnet50-v1", 53},
                                            {"vgg16", 13}})
    for (const char* numerics : {"bf16", "f32", "tf32"})
      all.push_back({gpu, model, numerics, convolutions});
  return all;
}

std::string case_name(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.model + "_" + info.param.numerics;
  for (char& c : name)
    if (c == '-') c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(H100, CudaPlans, testing::ValuesIn(cases("h100")), case_name);

// --- single plans, and what is refused
// ------------------------------------------------------------------------------

Conv2dSpec small_spec(DType type) {
  Conv2dSpec spec;
  spec.x = {{4, 64, 14, 14}, type, Layout::nhwc};
  spec.k = 64;
  spec.r = spec.s = 3;
  spec.pad_h = spec.pad_w = 1;
  spec.numerics.compute = type;
  return spec;
}

// The message of the Error that `build` must throw in the child; what came instead otherwise.
std::string refusal(int number, const std::function<void()>& build) {
  return in_child_with_driver([&]() -> std::string {
    try {
      build();
      return "no error";
    } catch (const Error& e) {
      return e.number() == number ? e.what() : "another error: " + e.line();
    }
  });
}

TEST(CudaPlan, forward_needs_no_driver_for_ready_made_engines) {
  Conv2dSpec spec = small_spec(DType::bf16);
  spec.bias = spec.relu = spec.add_residual = true;
  const cuda::PlanTarget target(description_of("h100"));
  const cuda::CudnnPlan plan =
      make_conv2d_plan(target, spec, PassKind::forward, cuda::rules_for(spec.numerics));
  EXPECT_TRUE(plan.describe().starts_with("cudnn:")) << plan.describe();
  EXPECT_EQ(plan.describe().find("runtime-compiled"), std::string::npos) << plan.describe();
}

TEST(CudaPlan, strict_f32_takes_no_tensor_cores_where_tf32_does) {
  const auto engine = [](bool tf32) {
    Conv2dSpec spec = small_spec(DType::f32);
    spec.numerics.tf32 = tf32;
    const cuda::PlanTarget target(description_of("h100"));
    return make_conv2d_plan(target, spec, PassKind::forward, cuda::rules_for(spec.numerics))
        .describe();
  };
  EXPECT_EQ(engine(false).find("tensor-core"), std::string::npos) << engine(false);
  EXPECT_NE(engine(true).find("tensor-core"), std::string::npos) << engine(true);
}

TEST(CudaPlan, workspace_limit_changes_the_choice) {
  const Conv2dSpec spec = convolutions_of("resnet50", numerics_named("f32"))[0];
  const cuda::PlanTarget target(description_of("h100"));
  cuda::EngineRules rules;
  const size_t free_choice =
      make_conv2d_plan(target, spec, PassKind::forward, rules).workspace_bytes();
  ASSERT_GT(free_choice, 0u);
  rules.workspace_limit = free_choice - 1;
  EXPECT_LT(make_conv2d_plan(target, spec, PassKind::forward, rules).workspace_bytes(),
            free_choice);
}

TEST(CudaPlan, no_engine_is_an_error_that_counts_the_refused_ones) {
  const std::string text = refusal(3020, [] {
    Conv2dSpec spec = small_spec(DType::bf16);
    spec.relu = true;  // without a bias there are only engines that use tensor cores
    cuda::EngineRules rules;
    rules.tensor_cores = false;
    make_conv2d_plan(cuda::PlanTarget(description_of("h100")), spec, PassKind::forward, rules);
  });
  EXPECT_TRUE(text.starts_with("conv2d forward bf16 {4,64,14,14} 64 of 3x3/1+1, relu: cuDNN"))
      << text;
  EXPECT_NE(text.find("on tensor cores"), std::string::npos) << text;
}

TEST(CudaPlan, a_gpu_that_cudnn_does_not_know_is_refused) {
  const std::string text = refusal(3031, [] {
    std::string kepler = description_of("h100");
    kepler.replace(kepler.find("900"), 3, "350");
    cuda::PlanTarget target(kepler);
  });
  EXPECT_NE(text.find("ARCH_MISMATCH"), std::string::npos) << text;
}

TEST(CudaPlan, an_incomplete_description_is_refused) {
  const std::string text = refusal(3031, [] { cuda::PlanTarget target(R"({"deviceVer": 900})"); });
  EXPECT_NE(text.find("device description failed"), std::string::npos) << text;
}

TEST(CudaPlan, blocked_layouts_are_refused_but_for_padded_images) {
  Conv2dSpec spec = small_spec(DType::bf16);
  spec.x.layout = Layout::nchw8c;
  EXPECT_THROW(cuda::memory_channels(spec), Error);
  spec.x.shape = {4, 3, 14, 14};
  EXPECT_EQ(cuda::memory_channels(spec), 8);
  spec.x.layout = Layout::nhwc;
  EXPECT_EQ(cuda::memory_channels(spec), 3);
}

}  // namespace
}  // namespace ft::test
