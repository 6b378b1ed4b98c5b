// Copies of weights.
#include "tensor/cuda/weight_copies.h"

#include <algorithm>

#include "tensor/cuda/kernels.h"

namespace ft::cuda {

std::shared_ptr<WeightCopy> WeightCopies::find(const Tensor& master, const TensorSpec& spec) {
  std::erase_if(copies_, [](const std::weak_ptr<WeightCopy>& c) { return c.expired(); });
  for (const auto& weak : copies_) {
    const auto copy = weak.lock();
    if (copy->master == master.data() && copy->memory.spec() == spec) return copy;
  }
  const auto copy = std::make_shared<WeightCopy>();
  copy->master = master.data();
  copy->memory = Tensor(spec, allocator_);
  copies_.push_back(copy);
  return copy;
}

// A copy that is made while capturing exists only once the graph runs, and then anew each time:
// nothing outside of the graph may count on it, and of weights that train nothing inside may count on what was there
// before.
void* WeightReader::get(cudaStream_t s, const Tensor& master, uint64_t version, uint64_t capture) {
  FT_CHECK(master.shape() == wanted_.shape,
           "weights " + master.spec().str() + ", expected " + wanted_.str());
  if (master.spec() == wanted_) return master.data();
  if (!copy_ || copy_->master != master.data()) {
    FT_CHECK(capture == 0, "a step must have run once before it is captured");
    copy_ = copies_->find(master, wanted_);
  }
  const bool made_here = copy_->valid && copy_->version == version && copy_->capture == capture;
  const bool made_before =
      copy_->valid && copy_->version == version && copy_->capture == 0 && !trains_;
  if (!made_here && !made_before) {
    convert(s, master, copy_->memory);
    copy_->valid = true;
    copy_->version = version;
    copy_->capture = capture;
  }
  return copy_->memory.data();
}

}  // namespace ft::cuda
