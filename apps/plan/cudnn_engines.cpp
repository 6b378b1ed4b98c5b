// The plugin libft_plan.so: asks cuDNN with the graph builders of the CUDA backend.
#include "apps/plan/engines.h"
#include "tensor/cuda/conv2d_graph.h"

namespace ft::plan {
namespace {

class CudnnEngines final : public EngineFinder {
 public:
  explicit CudnnEngines(const std::string& gpu) : target_(gpu) {}

  Engine find(const Conv2dSpec& spec, PassKind pass, bool with_text) override {
    try {
      const cuda::CudnnPlan plan =
          cuda::make_conv2d_plan(target_, spec, pass, cuda::rules_for(spec.numerics));
      Engine engine{plan.describe(), plan.workspace_bytes(), plan.deterministic(), {}, {}, {}};
      if (!with_text) return engine;
      engine.key = cuda::name_of(spec, pass);
      engine.text = plan.saved().text;
      return engine;
    } catch (const Error& e) {
      return {{}, 0, true, e.where() + ": " + e.seen(), {}, {}};
    }
  }

  std::string version() const override { return cuda::cudnn_name(); }

 private:
  cuda::PlanTarget target_;
};

}  // namespace
}  // namespace ft::plan

extern "C" __attribute__((visibility("default"))) ft::plan::EngineFinder* ft_make_engine_finder(
    const std::string* gpu) {
  return new ft::plan::CudnnEngines(*gpu);
}

extern "C" __attribute__((visibility("default"))) std::string* ft_describe_device(int index) {
  ft::cuda::Descriptor device(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  device.set(CUDNN_ATTR_DEVICEPROP_DEVICE_ID, int32_t{index});
  device.finalize("properties of the device");
  return new std::string(device.text(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION));
}
