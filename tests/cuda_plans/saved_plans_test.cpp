// The real cuDNN writes its execution plans as text and takes them back, for GPUs that are only described. What is not
// shown: that a card takes them.
#include <gtest/gtest.h>

#include "apps/plan/gpu.h"
#include "apps/plan/plan_file.h"
#include "tensor/cuda/conv2d_graph.h"
#include "tests/cuda_plans/in_child.h"
#include "tests/support/process.h"

namespace ft::test {
namespace {

Conv2dSpec convolution(DType type) {
  Conv2dSpec c;
  c.x = {{32, 64, 56, 56}, type, Layout::nhwc};
  c.k = 64;
  c.r = c.s = 3;
  c.pad_h = c.pad_w = 1;
  c.bias = c.relu = true;
  c.numerics.compute = type;
  return c;
}

// Empty, or what went wrong.
std::string load_again(const char* gpu, DType type, PassKind pass) {
  const cuda::PlanTarget target(plan::find_gpu(gpu).json);
  const Conv2dSpec spec = convolution(type);
  const cuda::CudnnPlan made =
      cuda::make_conv2d_plan(target, spec, pass, cuda::rules_for(spec.numerics));
  const SavedPlan saved = made.saved();
  if (saved.text.empty()) return "no text";
  const cuda::CudnnPlan loaded = cuda::load_plan(target, saved);
  if (loaded.workspace_bytes() != made.workspace_bytes()) return "another workspace";
  if (loaded.describe() != made.describe()) return "another engine";
  if (loaded.saved().text != saved.text) return "another text";
  SavedPlan cut = saved;
  cut.text.resize(cut.text.size() / 2);
  try {
    cuda::load_plan(target, cut);
    return "half a text is taken";
  } catch (const Error& e) {
    if (e.number() != 3031) return e.what();
  }
  return {};
}

TEST(CudaSavedPlans, cudnn_takes_back_what_it_wrote) {
  EXPECT_EQ(in_child_with_driver([] {
              std::string faults;
              for (const char* gpu : {"a100", "h100", "b200"})
                for (DType type : {DType::f32, DType::bf16})
                  for (PassKind pass :
                       {PassKind::forward, PassKind::backward_data, PassKind::backward_weights})
                    if (const std::string why = load_again(gpu, type, pass); !why.empty())
                      faults += std::string(gpu) + " " + cuda::name_of(convolution(type), pass) +
                                ": " + why + "\n";
              return faults;
            }),
            "");
}

TEST(CudaSavedPlans, ftrun_plan_saves_those_of_a_step) {
  const TempDir dir;
  const std::string path = dir / "plans.json";
  const ProcessResult r =
      run_process(FT_PROGRAM, {"plan", "--gpu", "h100", "--model", "alexnet-tv", "--batch", "32",
                               "--precision", "bf16", "--save", path});
  ASSERT_EQ(r.status, 0) << r.err;
  plan::PlanFile file(path);
  EXPECT_EQ(file.size(), 14u);  // of five convolutions; the first has no gradient of its input
  EXPECT_THROW(file.match("cuDNN 9.0.0", "NVIDIA H100 80GB HBM3 (sm_90)"), Error);
  EXPECT_THROW(file.match(cuda::cudnn_name(), "NVIDIA H200 (sm_90)"), Error);
  file.match(cuda::cudnn_name(), "NVIDIA H100 80GB HBM3 (sm_90)");
  EXPECT_EQ(in_child_with_driver([&]() -> std::string {
              const cuda::PlanTarget target(plan::find_gpu("h100").json);
              const SavedPlan* const saved =
                  file.find("conv2d forward bf16 {32,192,13,13} 384 of 3x3/1+1, bias");
              if (saved == nullptr) return "conv3 is not there";
              return cuda::load_plan(target, *saved).describe() == saved->engine ? "" : "another";
            }),
            "");
}

}  // namespace
}  // namespace ft::test
