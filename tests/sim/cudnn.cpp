// Stand-in for the functions of cuDNN that the backend uses: the same C symbols, linked in its place. The heuristics offer
// engines of every kind that the backend has to tell apart; the right one for its rules stands behind wrong ones.
#include <cudnn.h>

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "tests/sim/cudnn_graph.h"
#include "tests/sim/device.h"

using sim::Call;
using sim::CudnnDescriptor;

struct cudnnContext {
  cudaStream_t stream = nullptr;
};

namespace {

struct Engine {
  int64_t id;
  std::vector<cudnnBackendNumericalNote_t> notes;
  int64_t workspace;
  bool builds = true;
};

constexpr int64_t kMiB = int64_t{1} << 20;

const std::vector<Engine>& engines() {
  static const std::vector<Engine>& all = *new std::vector<Engine>{
      {11, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC}, 0},
      {12, {CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS}, 0},
      {13, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 0, false},
      {14, {CUDNN_NUMERICAL_NOTE_WINOGRAD, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13}, 0},
      {15, {}, 4096 * kMiB},
      {16, {CUDNN_NUMERICAL_NOTE_TENSOR_CORE}, 1000},
      {17, {}, 2000},
  };
  return all;
}

cudnnStatus_t refused(const std::string& why) {
  sim::report("cuDNN: " + why);
  return CUDNN_STATUS_BAD_PARAM;
}

// What a call has to return before it does anything.
cudnnStatus_t status_of(const Call& call) {
  if (call.injected() != 0) return static_cast<cudnnStatus_t>(call.injected());
  return call.error() == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

// A saved plan: who wrote it, its engine, its graph.
std::string saved_text(const CudnnDescriptor& plan) {
  return "simulated " + std::to_string(cudnnGetVersion()) + " " + std::to_string(plan.engine) +
         " " + plan.graph_text;
}

std::string load_saved(CudnnDescriptor& plan) {
  const auto bytes = plan.all<char>(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION);
  std::istringstream in(std::string(bytes.begin(), bytes.end()));
  std::string who;
  size_t version = 0;
  if (!(in >> who >> version >> plan.engine) || who != "simulated" || version != cudnnGetVersion())
    return "no plan of this cuDNN";
  const auto graph = CudnnDescriptor::read(in);
  if (!in) return "a plan that was cut";
  std::ostringstream text;
  graph->write(text);
  plan.graph_text = text.str();
  plan.graph = std::make_shared<const sim::Graph>(*graph);
  sim::count("plans loaded");
  return {};
}

// As the real one writes it; numbers of an H100.
std::string device_text() {
  return R"({"cudaDeviceId":0,"deviceVer":)" + std::to_string(10 * sim::settings().arch) +
         R"(,"driverVer":13000,"maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],)"
         R"("regsPerBlock":65536,"multiProcessorCount":132,"warpSize":32,"maxSharedMemoryPerBlock":49152,)"
         R"("maxSharedMemoryPerBlockOptin":232448,"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,)"
         R"("maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,"isTccDriver":0,)"
         R"("supportCoopLaunch":1,"totalGlobalMem":)" +
         std::to_string(sim::settings().memory_bytes) +
         R"(,"smClockRateKHz":1980000,"memClockRateKHz":2619000,"l2CacheSize":52428800,"deviceName":"simulated"})";
}

// Handle or description: one of them, and the same for the whole.
std::string check_target(const CudnnDescriptor& d) {
  if (d.type() == CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)
    return d.has(CUDNN_ATTR_DEVICEPROP_DEVICE_ID) !=
                   d.has(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION)
               ? ""
               : "a device by its number or by its description";
  if (d.type() == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR)
    return d.sub(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).has(CUDNN_ATTR_OPERATIONGRAPH_HANDLE) !=
                   d.has(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP)
               ? ""
               : "heuristics for a handle or for a description";
  if (d.type() == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR)
    return d.has(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) != d.has(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP)
               ? ""
               : "a plan for a handle or for a description";
  return {};
}

// What values of attributes mean, beyond being there.
std::string understand(CudnnDescriptor& d) {
  if (std::string why = check_target(d); !why.empty()) return why;
  try {
    if (d.type() == CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR) {
      d.graph = std::make_shared<const sim::Graph>(d);
      std::ostringstream text;
      d.write(text);
      d.graph_text = text.str();
    }
    const bool is_plan = d.type() == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
    if (is_plan && d.has(CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION)) return load_saved(d);
  } catch (const std::runtime_error& e) {
    return e.what();
  }
  if (d.type() == CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR) {
    d.graph = d.sub(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).graph;
    d.graph_text = d.sub(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH).graph_text;
  }
  if (d.type() == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {
    if (!d.has(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG))
      return "neither an engine configuration nor a saved plan";
    sim::count("plans built");
    const CudnnDescriptor& config = d.sub(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    d.graph = config.graph;
    d.graph_text = config.graph_text;
    d.engine = config.engine;
  }
  for (auto name : {CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_ATTR_EXECUTION_PLAN_HANDLE})
    if (d.has(name) && !sim::is_handle(d.one<cudnnHandle_t>(name))) return "no handle of cuDNN";
  return {};
}

// Turns the caller's descriptors into configurations of the graph, best first. With none asked for it only counts.
cudnnStatus_t give_configurations(const CudnnDescriptor& heuristics, int64_t room, int64_t* count,
                                  void* values) {
  const auto available = static_cast<int64_t>(engines().size());
  *count = room == 0 ? available : std::min(room, available);
  for (int64_t i = 0; i < (room == 0 ? 0 : *count); ++i) {
    const auto config = sim::find_descriptor(static_cast<cudnnBackendDescriptor_t*>(values)[i]);
    if (!config || config->type() != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
      return refused("configurations go into descriptors of such");
    config->graph = heuristics.graph;
    config->graph_text = heuristics.graph_text;
    config->engine = static_cast<int>(i);
    config->make_final();
  }
  return CUDNN_STATUS_SUCCESS;
}

template <class T>
cudnnStatus_t give(const std::vector<T>& from, int64_t room, int64_t* count, void* values) {
  *count = static_cast<int64_t>(from.size());
  std::copy_n(from.begin(), std::min(*count, room), static_cast<T*>(values));
  return CUDNN_STATUS_SUCCESS;
}

// Where the graph's tensors lie. Throws std::runtime_error.
std::map<int64_t, void*> places(const sim::Graph& graph, const CudnnDescriptor& pack) {
  const auto ids = pack.ints(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
  const auto pointers = pack.all<void*>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
  if (ids.size() != pointers.size()) throw std::runtime_error("ids and pointers differ in number");
  std::map<int64_t, void*> data;
  for (size_t i = 0; i < ids.size(); ++i)
    if (!data.emplace(ids[i], pointers[i]).second) throw std::runtime_error("an id comes twice");
  for (const auto& [id, tensor] : graph.tensors()) {
    if (tensor.is_virtual) continue;
    const std::string name = "tensor " + std::to_string(id);
    if (!data.contains(id)) throw std::runtime_error(name + " is missing");
    if (sim::device_bytes_at(data[id]) < tensor.bytes())
      throw std::runtime_error(name + ": no device memory of that size");
    if (reinterpret_cast<uintptr_t>(data[id]) % static_cast<uintptr_t>(tensor.alignment) != 0)
      throw std::runtime_error(name + " is not aligned as promised");
  }
  std::erase_if(data, [&](const auto& d) { return !graph.tensors().contains(d.first); });
  if (data.size() != ids.size()) throw std::runtime_error("an id that the graph does not have");
  return data;
}

bool overlap(const char* a, size_t a_bytes, const char* b, size_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

// The output and the workspace are memory of their own.
void check_overlaps(const sim::Graph& graph, const std::map<int64_t, void*>& data,
                    const void* workspace, size_t workspace_bytes) {
  const auto* out = static_cast<const char*>(data.at(graph.output()));
  const size_t out_bytes = graph.tensors().at(graph.output()).bytes();
  for (const auto& [id, place] : data) {
    const auto* at = static_cast<const char*>(place);
    const size_t bytes = graph.tensors().at(id).bytes();
    if (id != graph.output() && overlap(at, bytes, out, out_bytes))
      throw std::runtime_error("the output lies in tensor " + std::to_string(id));
    if (overlap(at, bytes, static_cast<const char*>(workspace), workspace_bytes))
      throw std::runtime_error("the workspace lies in tensor " + std::to_string(id));
  }
}

}  // namespace

size_t cudnnGetVersion() {
  const int64_t version = sim::settings().cudnn;
  return version < 0 ? CUDNN_VERSION : static_cast<size_t>(version);
}

const char* cudnnGetErrorString(cudnnStatus_t status) {
  switch (status) {
    case CUDNN_STATUS_SUCCESS:
      return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_BAD_PARAM:
      return "CUDNN_STATUS_BAD_PARAM";
    case CUDNN_STATUS_EXECUTION_FAILED:
      return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
      return "another cudnnStatus";
  }
}

void cudnnGetLastErrorString(char* text, size_t room) {
  if (room > 0) text[0] = '\0';
}

cudnnStatus_t cudnnCreate(cudnnHandle_t* handle) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  *handle = new cudnnContext;
  sim::add_handle(*handle);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
  const Call call(__func__);
  if (!sim::remove_handle(handle)) return CUDNN_STATUS_BAD_PARAM;
  delete handle;
  return status_of(call);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  if (!sim::is_handle(handle) || !sim::is_handle(stream)) return refused("no such handle");
  handle->stream = stream;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t* descriptor) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  *descriptor = sim::add_descriptor(type);
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
  const Call call(__func__);
  if (!sim::remove_descriptor(descriptor)) return refused("a descriptor is destroyed twice");
  return status_of(call);
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t count,
                                       const void* values) {
  const Call call(__func__);
  if (call.injected() == sim::kForgotten) return CUDNN_STATUS_SUCCESS;
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  const auto d = sim::find_descriptor(descriptor);
  const std::string why = d ? d->set(name, type, count, values) : "no such descriptor";
  return why.empty() ? CUDNN_STATUS_SUCCESS : refused(why);
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  const auto d = sim::find_descriptor(descriptor);
  if (!d) return refused("no such descriptor");
  std::string why = d->finalize();
  if (why.empty()) why = understand(*d);
  if (!why.empty()) return refused("descriptor " + std::to_string(d->type()) + ": " + why);
  const bool is_plan = d->type() == CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR;
  if (is_plan && !engines()[static_cast<size_t>(d->engine)].builds)
    return CUDNN_STATUS_NOT_SUPPORTED;
  return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t name,
                                       cudnnBackendAttributeType_t type, int64_t room,
                                       int64_t* count, void* values) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  const auto d = sim::find_descriptor(descriptor);
  if (!d || !d->is_final()) return refused("an attribute is read before finalize");
  if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
    return give_configurations(*d, room, count, values);
  if (name == CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION && type == CUDNN_TYPE_CHAR) {
    const std::string text = device_text();
    return give(std::vector<char>(text.begin(), text.end()), room, count, values);
  }
  if (d->engine < 0) return refused("an attribute that cannot be read");
  if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR && room == 1) {
    const auto engine = sim::find_descriptor(*static_cast<cudnnBackendDescriptor_t*>(values));
    if (!engine || engine->type() != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
      return refused("an engine goes into a descriptor of one");
    engine->engine = d->engine;
    engine->make_final();
    *count = 1;
    return CUDNN_STATUS_SUCCESS;
  }
  if (name == CUDNN_ATTR_EXECUTION_PLAN_JSON_REPRESENTATION && type == CUDNN_TYPE_CHAR) {
    const std::string text = saved_text(*d);
    return give(std::vector<char>(text.begin(), text.end()), room, count, values);
  }
  const Engine& engine = engines()[static_cast<size_t>(d->engine)];
  if (name == CUDNN_ATTR_ENGINE_GLOBAL_INDEX && type == CUDNN_TYPE_INT64)
    return give<int64_t>({engine.id}, room, count, values);
  if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE)
    return give(engine.notes, room, count, values);
  if (name == CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE && type == CUDNN_TYPE_BEHAVIOR_NOTE)
    return give<cudnnBackendBehaviorNote_t>({}, room, count, values);
  if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64)
    return give<int64_t>({engine.workspace}, room, count, values);
  return refused("attribute " + std::to_string(name) + " cannot be read so");
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t plan_handle,
                                  cudnnBackendDescriptor_t pack_handle) {
  const Call call(__func__);
  if (status_of(call) != CUDNN_STATUS_SUCCESS) return status_of(call);
  const auto plan = sim::find_descriptor(plan_handle), pack = sim::find_descriptor(pack_handle);
  if (!sim::is_handle(handle) || !plan || !pack || !plan->has(CUDNN_ATTR_EXECUTION_PLAN_HANDLE) ||
      !plan->is_final() || !pack->is_final())
    return refused("execute without a handle, a plan or a pack");
  const Engine& engine = engines()[static_cast<size_t>(plan->engine)];
  const auto workspace_bytes = static_cast<size_t>(engine.workspace);
  auto* workspace = pack->one<char*>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
  if (sim::device_bytes_at(workspace) < workspace_bytes) return refused("too little workspace");
  std::map<int64_t, void*> data;
  try {
    data = places(*plan->graph, *pack);
    check_overlaps(*plan->graph, data, workspace, workspace_bytes);
  } catch (const std::runtime_error& e) {
    return refused(e.what());
  }
  const bool tensor_cores = std::ranges::count(engine.notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) > 0;
  const auto work = [=, graph = plan->graph] {
    if (workspace_bytes > 0) std::memset(workspace, 0xff, workspace_bytes);
    graph->run(data, tensor_cores);
  };
  return sim::enqueue(handle->stream, "cuDNN plan", work) == cudaSuccess
             ? CUDNN_STATUS_SUCCESS
             : CUDNN_STATUS_EXECUTION_FAILED;
}
