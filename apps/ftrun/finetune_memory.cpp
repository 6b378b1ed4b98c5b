// Fine-tuning: whether a step fits the device, told before the first one is made.
#include <fmt/format.h>

#include <algorithm>

#include "apps/ftrun/finetune_run.h"
#include "apps/ftrun/progress.h"

namespace ft::app {
namespace {

// The largest number from 1 to below `too_many` that is good, where all below a good one are; 0: none.
template <class Good>
int64_t largest(int64_t too_many, const Good& good) {
  int64_t low = 0;
  while (too_many - low > 1) {
    const int64_t middle = low + (too_many - low) / 2;
    (good(middle) ? low : too_many) = middle;
  }
  return low;
}

// At most so much for n of the images that it is compiled for.
size_t part_of(const CompiledGraph& compiled, int64_t n, int64_t batch) {
  if (n >= batch) return compiled.arena_bytes();
  size_t workspace = 0;
  for (const CompiledNode& node : compiled.nodes())
    workspace = std::max(workspace, node.plan.workspace_bytes);
  return compiled.arena_bytes() / static_cast<size_t>(batch) * static_cast<size_t>(n) + workspace;
}

}  // namespace

// Enough for a run with micro-batches of n images.
size_t FinetuneRun::arena_for(int64_t n) const {
  size_t bytes =
      std::max(trainer_->arena_bytes(n), part_of(evaluator_->compiled(), n, evaluator_->batch()));
  if (const Prefix* front = feed_->front(); front != nullptr)
    bytes = std::max(bytes, part_of(front->compiled(), n, front->batch()));
  return bytes;
}

// All but the arena is on the device already. Where products are in 16 bits, copies of the weights follow in step 1;
// and parameters go up and down through memory of their own, one at a time.
void FinetuneRun::check_memory(size_t arena_bytes) const {
  const size_t free = backend_.backend->free_bytes();
  if (free == 0) return;
  size_t later = 0;
  for (const Parameter& p : network_.model.graph.parameters())
    later = std::max(later, static_cast<size_t>(p.shape.elements()) * sizeof(float));
  if (options_.common.precision == "bf16") later += network_.parameters->values().bytes() / 2;
  if (arena_bytes + later <= free) return;
  const auto text = [](size_t bytes) { return bytes_text(static_cast<double>(bytes)); };
  const int64_t images = std::min({settings_.micro_batch, settings_.batch,
                                   static_cast<int64_t>(split("train").samples.size())});
  const size_t parameters = network_.parameters->bytes(),
               optimizer = trainer_->optimizer_bytes() + feed_->bytes();
  const size_t taken = device_free_ - std::min(device_free_, free);
  const std::string seen = fmt::format(
      "a step of {} needs {} of activations and workspace, and {} for copies behind it; {} are "
      "free "
      "beside {} of parameters and gradients, {} of optimizer and input, {} of folded weights",
      counted(images, "image"), text(arena_bytes), text(later), text(free), text(parameters),
      text(optimizer), text(taken - std::min(taken, parameters + optimizer)));
  const int64_t fits = largest(images, [&](int64_t n) {
    try {
      return arena_for(n) + later <= free;
    } catch (const Error&) {
      return false;  // too few images for statistics of a batch
    }
  });
  const char* flag = settings_.micro_batch < settings_.batch ? "--micro-batch" : "--batch";
  throw Error(4003, "device memory", seen,
              fits > 0 ? fmt::format("use {} {} or less", flag, fits)
                       : "no batch fits: free the GPU, or use another --device");
}

}  // namespace ft::app
