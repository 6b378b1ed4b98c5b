// The plugin libft_plan.so: asks cuDNN with the graph builders of the CUDA backend.
#include <fmt/format.h>

#include "apps/plan/engines.h"
#include "tensor/cuda/conv2d_graph.h"

namespace ft::plan {
namespace {

class CudnnEngines final : public EngineFinder {
 public:
  explicit CudnnEngines(const std::string& gpu) : target_(gpu) {}

  Engine find(const Conv2dSpec& spec, PassKind pass) override {
    try {
      const cuda::CudnnPlan plan =
          cuda::make_conv2d_plan(target_, spec, pass, cuda::rules_for(spec.numerics));
      return {plan.describe(), plan.workspace_bytes(), plan.deterministic(), {}};
    } catch (const Error& e) {
      return {{}, 0, true, e.where() + ": " + e.seen()};
    }
  }

  std::string version() const override {
    const size_t v = cudnnGetVersion();
    return fmt::format("cuDNN {}.{}.{}", v / 10000, v / 100 % 100, v % 100);
  }

 private:
  cuda::PlanTarget target_;
};

}  // namespace
}  // namespace ft::plan

extern "C" __attribute__((visibility("default"))) ft::plan::EngineFinder* ft_make_engine_finder(
    const std::string* gpu) {
  return new ft::plan::CudnnEngines(*gpu);
}
