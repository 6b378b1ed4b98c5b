// Weights in the type and layout that a kernel wants. The master is f32; a copy (16 bits, or with padded channels) is
// made once while the weights are frozen and again after each update when they train, and is shared by all plans that
// want the same form of the same weights: those of training and of evaluation.
#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "tensor/cuda/sizes.h"

namespace ft::cuda {

// One copy. Known by the address of its master: while a plan holds the copy, that address stands for these weights,
// and their version moves whenever a value changes.
struct WeightCopy {
  const void* master = nullptr;
  bool valid = false;
  uint64_t version = 0;
  uint64_t capture = 0;  // the capture that it was made in, 0: none
  Tensor memory;
};

// All copies of a backend; one lives as long as a plan uses it. One thread at a time.
class WeightCopies {
 public:
  explicit WeightCopies(Allocator& allocator) : allocator_(allocator) {}
  // The copy of `master` in form `spec`, made (not yet filled) if there is none.
  std::shared_ptr<WeightCopy> find(const Tensor& master, const TensorSpec& spec);

 private:
  Allocator& allocator_;
  std::vector<std::weak_ptr<WeightCopy>> copies_;
};

// One parameter as one plan reads it.
class WeightReader {
 public:
  WeightReader() = default;
  // `trains`: a step that is captured contains an update of these weights, so it must remake the copy.
  WeightReader(WeightCopies& copies, const TensorSpec& wanted, bool trains)
      : copies_(&copies), wanted_(wanted), trains_(trains) {}
  // The master itself if it has the wanted form, else the copy, remade on `s` where the version moved. `capture`: the
  // number of the capture that is going on, or 0. Allocates when it meets `master` for the first time.
  void* get(cudaStream_t s, const Tensor& master, uint64_t version, uint64_t capture);
  // Of the copy, where the master is f32 in the layout `master`.
  size_t copy_bytes(Layout master) const { return cuda::copy_bytes(wanted_, master); }

 private:
  WeightCopies* copies_ = nullptr;
  TensorSpec wanted_;
  bool trains_ = false;
  std::shared_ptr<WeightCopy> copy_;
};

}  // namespace ft::cuda
