// A thin layer over cuDNN's graph API: descriptors that own themselves, and an execution plan chosen among the
// engines that cuDNN offers for an operation graph (cudnn_graph.h builds those). Only what this project needs. A plan
// belongs to one thread at a time. Choosing one needs no GPU:
// see PlanTarget.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/cuda/handles.h"
#include "tensor/cuda/sizes.h"
#include "tensor/ops/plan.h"
#include "tensor/plan_store.h"

namespace ft::cuda {

std::string cudnn_name();  // "cuDNN 9.19.0"

// How a C++ type is announced to cudnnBackendSetAttribute; the pointer only carries the type.
inline auto attribute_type(const int64_t*) { return CUDNN_TYPE_INT64; }
inline auto attribute_type(const int32_t*) { return CUDNN_TYPE_INT32; }
inline auto attribute_type(const float*) { return CUDNN_TYPE_FLOAT; }
inline auto attribute_type(const bool*) { return CUDNN_TYPE_BOOLEAN; }
inline auto attribute_type(const char*) { return CUDNN_TYPE_CHAR; }
inline auto attribute_type(void* const*) { return CUDNN_TYPE_VOID_PTR; }
inline auto attribute_type(const cudnnHandle_t*) { return CUDNN_TYPE_HANDLE; }
inline auto attribute_type(const cudnnDataType_t*) { return CUDNN_TYPE_DATA_TYPE; }
inline auto attribute_type(const cudnnConvolutionMode_t*) { return CUDNN_TYPE_CONVOLUTION_MODE; }
inline auto attribute_type(const cudnnPointwiseMode_t*) { return CUDNN_TYPE_POINTWISE_MODE; }
inline auto attribute_type(const cudnnBackendHeurMode_t*) { return CUDNN_TYPE_HEUR_MODE; }
inline auto attribute_type(const cudnnBackendNumericalNote_t*) { return CUDNN_TYPE_NUMERICAL_NOTE; }
inline auto attribute_type(const cudnnBackendBehaviorNote_t*) { return CUDNN_TYPE_BEHAVIOR_NOTE; }

// One backend descriptor: created, given its attributes, then finalized and constant.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(cudnnBackendDescriptorType_t type);

  cudnnBackendDescriptor_t get() const { return handle_.get(); }
  template <class T>
  void set(cudnnBackendAttributeName_t name, std::span<const T> values) {
    set_raw(name, attribute_type(static_cast<const T*>(nullptr)),
            static_cast<int64_t>(values.size()), values.data());
  }
  template <class T>
  void set(cudnnBackendAttributeName_t name, const T& value) {
    set(name, std::span<const T>(&value, 1));
  }
  void set(cudnnBackendAttributeName_t name, const Descriptor& value);
  void set(cudnnBackendAttributeName_t name, std::span<const Descriptor> values);
  // At most `room` values; none if the attribute is not there.
  template <class T>
  std::vector<T> list(cudnnBackendAttributeName_t name, int64_t room) const {
    std::vector<T> values(static_cast<size_t>(room));
    values.resize(
        get_raw(name, attribute_type(static_cast<const T*>(nullptr)), room, values.data()));
    return values;
  }
  std::string text(cudnnBackendAttributeName_t name) const;  // empty if it is not there
  // `what` names the descriptor in the error.
  void finalize(const char* what);
  bool try_finalize();  // false: cuDNN refuses

 private:
  void set_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
               const void* values);
  size_t get_raw(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t room,
                 void* values) const;
  UniqueHandle<cudnnBackendDescriptor_t, cudnnBackendDestroyDescriptor> handle_;
};

// The GPU that plans are made for: one that is here (a handle), or one that is only described (JSON with the fields
// of cuDNN's device properties). Plans for a described GPU tell everything but cannot be run. cuDNN offers its
// runtime-compiled engines only where a libcuda.so.1 is loaded.
class PlanTarget {
 public:
  explicit PlanTarget(cudnnHandle_t handle) : handle_(handle) {}
  explicit PlanTarget(std::string_view device_json);

  void put_in_graph(Descriptor& graph) const;
  void put_in_heuristics(Descriptor& heuristics) const;
  void put_in_plan(Descriptor& plan) const;

 private:
  cudnnHandle_t handle_ = nullptr;
  Descriptor properties_;
};

// Which engines may be chosen.
struct EngineRules {
  bool deterministic = true;
  bool tensor_cores = true;  // false for f32 without TF32
  bool rounds_more = false;  // true: also those that round more than the data's own type
  size_t workspace_limit = kConvolutionWorkspace;
};
EngineRules rules_for(const NumericsPolicy& numerics);

// A finalized execution plan.
class CudnnPlan {
 public:
  CudnnPlan(Descriptor plan, std::string description, bool deterministic);

  size_t workspace_bytes() const { return workspace_bytes_; }
  const std::string& describe() const { return description_; }  // "cudnn:47 tensor-core"
  bool deterministic() const { return deterministic_; }
  // For load_plan() with the same version of cuDNN, on the same kind of GPU.
  SavedPlan saved() const;
  // `data`: device pointers of the graph's stored tensors in the order in which they were added. The work goes to the
  // handle's stream. Descriptors are remade only when a pointer differs from the last run's.
  void execute(cudnnHandle_t handle, std::span<void* const> data, void* workspace);

 private:
  Descriptor plan_, pack_;
  std::vector<void*> last_;  // pointers in pack_, the workspace at the end
  std::string description_;
  size_t workspace_bytes_ = 0;
  bool deterministic_;
};

// The first engine in the order of cuDNN's heuristics that obeys the rules, for a finalized operation graph. Throws
// Error 3020, with `what` and how many engines were refused for what, if there is none.
CudnnPlan choose_plan(const PlanTarget& target, const Descriptor& graph, const EngineRules& rules,
                      const std::string& what);
// All of them, in that order; none is no error.
std::vector<CudnnPlan> all_plans(const PlanTarget& target, const Descriptor& graph,
                                 const EngineRules& rules);
// Throws Error 3031 if cuDNN does not take it.
CudnnPlan load_plan(const PlanTarget& target, const SavedPlan& saved);

}  // namespace ft::cuda
