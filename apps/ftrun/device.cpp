// From flags to a backend.
#include "apps/ftrun/device.h"

#include <fmt/format.h>

namespace ft::app {

OpenDevice open_device(const CommonOptions& o, bool keeps_plans) {
  BackendOptions options;
  options.threads = o.threads;
  options.time_engines = o.plans == "timed";
  options.workspace_limit = static_cast<size_t>(o.workspace_mib) << 20;
  std::shared_ptr<plan::PlanFile> plans;
  if (o.plans != "timed" && o.plans != "heuristic")
    plans = std::make_shared<plan::PlanFile>(o.plans);
  else if (keeps_plans)
    plans = std::make_shared<plan::PlanFile>();
  options.plans = plans;
  return {choose_backend(o.device, options), plans};
}

NumericsPolicy numerics_of(const CommonOptions& o, const Backend& backend) {
  NumericsPolicy policy;
  policy.compute = o.precision == "bf16" ? DType::bf16 : DType::f32;
  policy.tf32 = o.precision == "tf32";
  policy.deterministic = !o.fast;
  if (!backend.supports(policy.compute) ||
      (policy.tf32 && backend.device().kind != Device::Kind::cuda))
    throw Error(3021, "--precision",
                fmt::format("{} has no {} products", backend.describe(), o.precision),
                "use --precision f32");
  return policy;
}

}  // namespace ft::app
