// Attributes of cuDNN's descriptors.
#include "tests/sim/cudnn_descriptor.h"

#include <istream>
#include <ostream>

namespace sim {
namespace {

struct Rule {
  cudnnBackendDescriptorType_t descriptor;
  cudnnBackendAttributeName_t name;
  cudnnBackendAttributeType_t type;
  bool optional = false;
};

constexpr auto kTensor = CUDNN_BACKEND_TENSOR_DESCRIPTOR;
constexpr auto kConvolution = CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR;
constexpr auto kPointwise = CUDNN_BACKEND_POINTWISE_DESCRIPTOR;
constexpr auto kForward = CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR;
constexpr auto kData = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR;
constexpr auto kFilter = CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR;
constexpr auto kPointwiseOp = CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR;
constexpr auto kGraph = CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR;
constexpr auto kHeuristics = CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR;
constexpr auto kPlan = CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
constexpr auto kDevice = CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR;
constexpr auto kPack = CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR;

constexpr Rule kRules[] = {
    {kTensor, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE},
    {kTensor, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64},
    {kTensor, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64},
    {kTensor, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64},
    {kTensor, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64},
    {kTensor, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64},
    {kConvolution, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64},
    {kPointwise, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE},
    {kPointwise, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_TYPE_DATA_TYPE},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_TYPE_FLOAT},
    {kForward, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, CUDNN_TYPE_FLOAT},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_TYPE_FLOAT},
    {kData, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_TYPE_FLOAT},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA, CUDNN_TYPE_FLOAT},
    {kFilter, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_TYPE_FLOAT},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {kPointwiseOp, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kDevice, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, true},
    {kDevice, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, true},
    {kGraph, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, true},
    {kGraph, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kHeuristics, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, CUDNN_TYPE_BACKEND_DESCRIPTOR},
    {kHeuristics, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE},
    {kHeuristics, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, true},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, CUDNN_TYPE_BACKEND_DESCRIPTOR, true},
    {kPlan, CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, true},
    {kPack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64},
    {kPack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR},
    {kPack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR},
};

size_t size_of(cudnnBackendAttributeType_t type) {
  switch (type) {
    case CUDNN_TYPE_BOOLEAN:
    case CUDNN_TYPE_CHAR:
      return 1;
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
      return 8;
    default:
      return 4;  // enumerators and float
  }
}

std::string named(cudnnBackendAttributeName_t name) { return "attribute " + std::to_string(name); }

using Alive = std::map<void*, std::shared_ptr<CudnnDescriptor>>;
Alive& alive() {
  static Alive& all = *new Alive;
  return all;
}

}  // namespace

std::string CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type,
                                 int64_t count, const void* values) {
  if (final_) return named(name) + " is set after finalize";
  const Rule* rule = nullptr;
  for (const Rule& r : kRules)
    if (r.descriptor == type_ && r.name == name) rule = &r;
  if (rule == nullptr) return named(name) + " is unknown to descriptor " + std::to_string(type_);
  if (rule->type != type || count < 1 || values == nullptr)
    return named(name) + " has the wrong type or no values";
  const char* const bytes = static_cast<const char*>(values);
  attributes_[name].assign(bytes, bytes + static_cast<size_t>(count) * size_of(type));
  if (type != CUDNN_TYPE_BACKEND_DESCRIPTOR) return {};
  for (void* handle : all<void*>(name)) {
    const auto sub = find_descriptor(handle);
    if (!sub || !sub->is_final()) return named(name) + " is no finalized descriptor";
    kept_alive_.push_back(sub);
  }
  return {};
}

std::string CudnnDescriptor::finalize() {
  if (final_) return "finalized twice";
  bool known = false;
  for (const Rule& rule : kRules) {
    if (rule.descriptor != type_) continue;
    known = true;
    if (!rule.optional && !has(rule.name)) return named(rule.name) + " is missing";
  }
  if (!known) return "descriptor " + std::to_string(type_) + " is not simulated";
  final_ = true;
  return {};
}

void CudnnDescriptor::write(std::ostream& out) const {
  out << type_ << '\n';
  for (const Rule& rule : kRules) {
    if (rule.descriptor != type_ || !has(rule.name) || rule.type == CUDNN_TYPE_HANDLE) continue;
    const bool subs = rule.type == CUDNN_TYPE_BACKEND_DESCRIPTOR;
    const auto& bytes = attributes_.at(rule.name);
    out << rule.name << ' ' << subs << ' ' << bytes.size();
    if (!subs)
      for (char byte : bytes) out << ' ' << static_cast<int>(byte);
    out << '\n';
    if (subs)
      for (const CudnnDescriptor* sub : all<const CudnnDescriptor*>(rule.name)) sub->write(out);
  }
  out << "-1\n";
}

std::shared_ptr<CudnnDescriptor> CudnnDescriptor::read(std::istream& in) {
  int type = 0;
  in >> type;
  auto d = std::make_shared<CudnnDescriptor>(static_cast<cudnnBackendDescriptorType_t>(type));
  int name = -1;
  while (in >> name && name >= 0) {
    bool subs = false;
    size_t size = 0;
    in >> subs >> size;
    std::vector<char>& bytes = d->attributes_[name];
    for (size_t i = 0; in && i < size; i += subs ? sizeof(void*) : 1) {
      if (subs) {
        const CudnnDescriptor* const sub = d->kept_alive_.emplace_back(read(in)).get();
        const char* const handle = reinterpret_cast<const char*>(&sub);
        bytes.insert(bytes.end(), handle, handle + sizeof sub);
      } else {
        int byte = 0;
        in >> byte;
        bytes.push_back(static_cast<char>(byte));
      }
    }
  }
  d->make_final();
  return d;
}

cudnnBackendDescriptor_t add_descriptor(cudnnBackendDescriptorType_t type) {
  auto descriptor = std::make_shared<CudnnDescriptor>(type);
  void* const handle = descriptor.get();
  alive()[handle] = std::move(descriptor);
  return handle;
}

std::shared_ptr<CudnnDescriptor> find_descriptor(cudnnBackendDescriptor_t handle) {
  const auto at = alive().find(handle);
  return at == alive().end() ? nullptr : at->second;
}

bool remove_descriptor(cudnnBackendDescriptor_t handle) { return alive().erase(handle) == 1; }

}  // namespace sim
