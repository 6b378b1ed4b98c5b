// Weights in the order (and element type) that a kernel wants. The master copy is plain f32; a
// packed copy is made once when the weights are frozen and once after each update when they train,
// and is shared by all plans that want the same form of the same weights.
#pragma once

#include <memory>
#include <vector>

#include "tensor/cpu/dnnl_util.h"

namespace ft::cpu {

// One packed copy. Known by the address of its master: while any plan holds the copy, that address
// stands for these weights, and their version moves whenever a value changes.
struct Packed {
  const void* master = nullptr;
  Md desc;
  bool valid = false;
  uint64_t version = 0;
  Tensor memory;
};

// All packed copies of a backend; a copy lives as long as a plan uses it. One thread at a time.
class PackCache {
 public:
  explicit PackCache(Allocator& allocator) : allocator_(allocator) {}
  // The copy of `master` in form `desc`, made (not yet filled) if there is none.
  std::shared_ptr<Packed> find(const void* master, const Md& desc);
  size_t copies() const;
  // What filling the copies has cost so far.
  double seconds = 0, bytes = 0;

 private:
  Allocator& allocator_;
  std::vector<std::weak_ptr<Packed>> copies_;
};

// The weights of one pass of one plan.
class PackedWeights {
 public:
  PackedWeights() = default;
  PackedWeights(PackCache& cache, const dnnl::engine& engine, const Md& plain, const Md& wanted);
  // What the kernel reads: the master itself if it fits, else the copy, packed again when the
  // version moved. Allocates when it meets `w` for the first time.
  void* get(const dnnl::stream& s, const Tensor& w, uint64_t version);
  // Size of the copy, which other plans may share; 0 where the master itself fits.
  size_t bytes() const { return reorder_ ? wanted_.get_size() : 0; }
  bool same_form(const PackedWeights& other) const { return wanted_ == other.wanted_; }

 private:
  PackCache* cache_ = nullptr;
  Md wanted_;
  Call reorder_;
  std::shared_ptr<Packed> packed_;
};

}  // namespace ft::cpu
