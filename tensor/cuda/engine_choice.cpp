// Which engine of cuDNN runs a convolution: one that was saved, the fastest of all when timed here, or cuDNN's first.
#include <algorithm>

#include "tensor/cuda/conv2d_graph.h"
#include "tensor/cuda/cuda.h"

namespace ft::cuda {
namespace {

// Runs plans of one graph on memory of their own.
class Stopwatch {
 public:
  Stopwatch(CudaBackend& backend, const std::vector<size_t>& operand_bytes)
      : backend_(backend),
        stream_(backend.make_stream()),
        begin_(backend.make_timer()),
        end_(backend.make_timer()) {
    for (size_t bytes : operand_bytes) data_.push_back(block(bytes));
  }

  // Median of a few runs after one that loads the kernels.
  double seconds(CudnnPlan& plan) {
    const StreamRef s = stream_->ref();
    void* const workspace = block(plan.workspace_bytes());
    std::array<double, 5> runs{};
    plan.execute(backend_.cudnn(s), data_, workspace);
    for (double& run : runs) {
      backend_.record(s, *begin_);
      plan.execute(backend_.cudnn(s), data_, workspace);
      backend_.record(s, *end_);
      backend_.synchronize(s);
      run = backend_.seconds_between(*begin_, *end_);
    }
    blocks_.resize(data_.size());
    std::ranges::nth_element(runs, runs.begin() + 2);
    return runs[2];
  }

 private:
  // Bytes that are a small number in f32 and in 16 bits: a GPU's clock depends on what is computed.
  void* block(size_t bytes) {
    if (bytes == 0) return nullptr;
    blocks_.emplace_back(TensorSpec{{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain},
                         backend_.allocator());
    void* const data = blocks_.back().data();
    FT_CUDA(cudaMemsetAsync(data, 0x3c, bytes, backend_.enter(stream_->ref())));
    return data;
  }

  CudaBackend& backend_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> begin_, end_;
  std::vector<Tensor> blocks_;
  std::vector<void*> data_;
};

CudnnPlan fastest_plan(CudaBackend& backend, std::vector<CudnnPlan> plans,
                       const std::vector<size_t>& operand_bytes) {
  Stopwatch stopwatch(backend, operand_bytes);
  std::vector<double> seconds;
  for (CudnnPlan& plan : plans) seconds.push_back(stopwatch.seconds(plan));
  return std::move(plans[static_cast<size_t>(std::ranges::min_element(seconds) - seconds.begin())]);
}

}  // namespace

CudnnPlan CudaBackend::choose_engine(const Conv2dSpec& spec, PassKind pass) {
  const PlanTarget target(cudnn());
  EngineRules rules = rules_for(spec.numerics);
  if (options_.workspace_limit > 0) rules.workspace_limit = options_.workspace_limit;
  const std::string name = name_of(spec, pass);
  const SavedPlan* const saved = options_.plans ? options_.plans->find(name) : nullptr;
  if (saved != nullptr && saved->workspace_bytes <= rules.workspace_limit &&
      (saved->deterministic || !rules.deterministic))
    return load_plan(target, *saved);
  const GraphBuilder builder = conv2d_graph(spec, pass);
  const Descriptor graph = builder.finish(target);
  std::vector<CudnnPlan> all;
  if (options_.time_engines) all = all_plans(target, graph, rules);
  CudnnPlan plan = all.size() > 1 ? fastest_plan(*this, std::move(all), builder.stored_bytes())
                                  : choose_plan(target, graph, rules, name);
  if (options_.plans) options_.plans->keep(name, plan.saved());
  return plan;
}

}  // namespace ft::cuda
