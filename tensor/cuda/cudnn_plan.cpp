// Descriptors, engine choice and execution plans of cuDNN.
#include "tensor/cuda/cudnn_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "tensor/error.h"

namespace ft::cuda {
namespace {

// What an engine says about itself.
struct Engine {
  int64_t id = -1;
  bool deterministic = true, tensor_cores = false, rounds_more = false, runtime_compiled = false;

  explicit Engine(const Descriptor& config) {
    Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t raw = engine.get();
    int64_t count = 0;
    FT_CUDNN(cudnnBackendGetAttribute(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE,
                                      CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &raw));
    const auto ids = engine.list<int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1);
    if (!ids.empty()) id = ids[0];
    for (auto note : engine.list<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                                              CUDNN_NUMERICAL_NOTE_TYPE_COUNT))
      read(note);
    for (auto note : engine.list<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                                             CUDNN_BEHAVIOR_NOTE_TYPE_COUNT))
      if (note == CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION) runtime_compiled = true;
  }

  // Rounding beyond that of the data's own type is never taken: inputs cast down, sums kept in 16 bit, and the large
  // Winograd tiles, whose transforms lose two to three digits.
  void read(cudnnBackendNumericalNote_t note) {
    constexpr cudnnBackendNumericalNote_t kRoundsMore[] = {
        CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_4x4, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};
    tensor_cores |= note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
    deterministic &= note != CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    rounds_more |= std::ranges::find(kRoundsMore, note) != std::end(kRoundsMore);
  }

  std::string describe() const {
    return fmt::format("cudnn:{}{}{}{}{}", id, tensor_cores ? " tensor-core" : "",
                       deterministic ? "" : " nondeterministic", rounds_more ? " less-precise" : "",
                       runtime_compiled ? " runtime-compiled" : "");
  }
};

// Why engines were passed over, for the error.
struct Refusals {
  int offered = 0, nondeterministic = 0, tensor_cores = 0, rounds_more = 0, workspace = 0,
      failed = 0;
};

bool allowed(const Engine& engine, const EngineRules& rules, Refusals& refused) {
  ++refused.offered;
  if (rules.deterministic && !engine.deterministic) return ++refused.nondeterministic, false;
  if (!rules.tensor_cores && engine.tensor_cores) return ++refused.tensor_cores, false;
  if (!rules.rounds_more && engine.rounds_more) return ++refused.rounds_more, false;
  return true;
}

// The engine configurations that one mode of the heuristics proposes, best first; none if it has nothing to say.
std::vector<Descriptor> proposals(const PlanTarget& target, const Descriptor& graph,
                                  cudnnBackendHeurMode_t mode) {
  Descriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, mode);
  target.put_in_heuristics(heuristics);
  int64_t count = 0;
  if (!heuristics.try_finalize() ||
      cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                               CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count,
                               nullptr) != CUDNN_STATUS_SUCCESS)
    return {};
  std::vector<Descriptor> configs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (int64_t i = 0; i < count; ++i) {
    configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configs.back().get());
  }
  FT_CUDNN(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                    CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count, raw.data()));
  configs.resize(static_cast<size_t>(count));
  return configs;
}

constexpr cudnnBackendHeurMode_t kModes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                             CUDNN_HEUR_MODE_FALLBACK};

// Calls take(plan, engine) for the acceptable plans that one mode of the heuristics leads to, until it returns true.
template <class Take>
bool each_plan(const PlanTarget& target, const Descriptor& graph, cudnnBackendHeurMode_t mode,
               const EngineRules& rules, Refusals& refused, const Take& take) {
  for (const Descriptor& config : proposals(target, graph, mode)) {
    const Engine engine(config);
    if (!allowed(engine, rules, refused)) continue;
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    target.put_in_plan(plan);
    if (!plan.try_finalize()) {
      ++refused.failed;
      continue;
    }
    CudnnPlan done(std::move(plan), engine.describe(), engine.deterministic);
    if (done.workspace_bytes() > rules.workspace_limit)
      ++refused.workspace;
    else if (take(std::move(done), engine.id))
      return true;
  }
  return false;
}

}  // namespace

std::string cudnn_name() {
  const size_t version = cudnnGetVersion();
  return fmt::format("cuDNN {}.{}.{}", version / 10000, version / 100 % 100, version % 100);
}

Descriptor::Descriptor(cudnnBackendDescriptorType_t type) {
  FT_CUDNN(cudnnBackendCreateDescriptor(type, handle_.receive()));
}

void Descriptor::set(cudnnBackendAttributeName_t name, const Descriptor& value) {
  set(name, std::span<const Descriptor>(&value, 1));
}

void Descriptor::set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values) {
  std::vector<cudnnBackendDescriptor_t> raw;
  for (const Descriptor& d : values) raw.push_back(d.get());
  set_raw(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, static_cast<int64_t>(raw.size()), raw.data());
}

void Descriptor::set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                         int64_t count, const void* values) {
  FT_CUDNN(cudnnBackendSetAttribute(handle_.get(), name, type, count, values));
}

size_t Descriptor::get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                           int64_t room, void* values) const {
  int64_t count = 0;
  const cudnnStatus_t status =
      cudnnBackendGetAttribute(handle_.get(), name, type, room, &count, values);
  return status == CUDNN_STATUS_SUCCESS ? static_cast<size_t>(std::min(count, room)) : 0;
}

std::string Descriptor::text(cudnnBackendAttributeName_t name) const {
  int64_t bytes = 0;
  cudnnBackendGetAttribute(handle_.get(), name, CUDNN_TYPE_CHAR, 0, &bytes, nullptr);
  const std::vector<char> text = list<char>(name, bytes);
  return {text.begin(), std::ranges::find(text, '\0')};
}

void Descriptor::finalize(const char* what) {
  check(cudnnBackendFinalize(handle_.get()), what, __FILE__, __LINE__);
}

bool Descriptor::try_finalize() {
  return cudnnBackendFinalize(handle_.get()) == CUDNN_STATUS_SUCCESS;
}

PlanTarget::PlanTarget(std::string_view device_json)
    : properties_(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR) {
  properties_.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                  std::span<const char>(device_json.data(), device_json.size()));
  properties_.finalize("device description");
}

void PlanTarget::put_in_graph(Descriptor& graph) const {
  if (handle_ != nullptr) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle_);
}

void PlanTarget::put_in_heuristics(Descriptor& heuristics) const {
  if (handle_ == nullptr) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, properties_);
}

void PlanTarget::put_in_plan(Descriptor& plan) const {
  if (handle_ != nullptr)
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle_);
  else
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, properties_);
}

EngineRules rules_for(const NumericsPolicy& numerics) {
  EngineRules rules;
  rules.deterministic = numerics.deterministic;
  rules.tensor_cores = numerics.compute != DType::f32 || numerics.tf32;
  return rules;
}

CudnnPlan::CudnnPlan(Descriptor plan, std::string description, bool deterministic)
    : plan_(std::move(plan)), description_(std::move(description)), deterministic_(deterministic) {
  const auto bytes = plan_.list<int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, 1);
  FT_CHECK(!bytes.empty(), "a cuDNN plan does not tell its workspace");
  workspace_bytes_ = static_cast<size_t>(bytes[0]);
}

void CudnnPlan::execute(cudnnHandle_t handle, std::span<void* const> data, void* workspace) {
  const bool same = last_.size() == data.size() + 1 && last_.back() == workspace &&
                    std::equal(data.begin(), data.end(), last_.begin());
  if (!same) {
    last_.assign(data.begin(), data.end());
    std::vector<int64_t> ids(data.size());
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int64_t>(i) + 1;
    pack_ = Descriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
    pack_.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, std::span<const int64_t>(ids));
    pack_.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, std::span<void* const>(last_));
    pack_.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, workspace);
    pack_.finalize("variant pack");
    last_.push_back(workspace);
  }
  FT_CUDNN(cudnnBackendExecute(handle, plan_.get(), pack_.get()));
}

CudnnPlan choose_plan(const PlanTarget& target, const Descriptor& graph, const EngineRules& rules,
                      const std::string& what) {
  Refusals refused;
  std::optional<CudnnPlan> first;
  const auto take = [&](CudnnPlan plan, int64_t) { return first.emplace(std::move(plan)), true; };
  for (auto mode : kModes)
    if (each_plan(target, graph, mode, rules, refused, take)) return std::move(*first);
  throw Error(3020, what,
              fmt::format("{} has no engine for it: {} offered, {} not deterministic, {} on "
                          "tensor cores, {} "
                          "less precise, {} above {} MiB of workspace, {} failed",
                          cudnn_name(), refused.offered, refused.nondeterministic,
                          refused.tensor_cores, refused.rounds_more, refused.workspace,
                          rules.workspace_limit >> 20, refused.failed),
              "use another --precision, a smaller --batch or --micro-batch, or --device cpu");
}

// Modes propose the same engines again; each mode has its own settings of them.
std::vector<CudnnPlan> all_plans(const PlanTarget& target, const Descriptor& graph,
                                 const EngineRules& rules) {
  Refusals refused;
  std::vector<CudnnPlan> plans;
  std::set<int64_t> known, met;
  for (auto mode : kModes) {
    known = met;
    each_plan(target, graph, mode, rules, refused, [&](CudnnPlan plan, int64_t engine) {
      if (!known.contains(engine)) plans.push_back(std::move(plan));
      met.insert(engine);
      return false;
    });
  }
  return plans;
}

SavedPlan CudnnPlan::saved() const {
  return {description_, workspace_bytes_, deterministic_,
          plan_.text(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)};
}

CudnnPlan load_plan(const PlanTarget& target, const SavedPlan& saved) {
  Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  target.put_in_plan(plan);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, std::span<const char>(saved.text));
  plan.finalize("saved plan");
  return CudnnPlan(std::move(plan), saved.engine, saved.deterministic);
}

}  // namespace ft::cuda
