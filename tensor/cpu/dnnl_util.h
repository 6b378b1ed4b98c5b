// oneDNN in the words of this project: one spelling for versions 2.6 and 3.x, descriptors from
// specs, primitives with their arguments, and errors. A Call or Border belongs to one plan and one
// thread.
#pragma once

#include <initializer_list>
#include <oneapi/dnnl/dnnl.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

namespace ft::cpu {

using Md = dnnl::memory::desc;
using Tag = dnnl::memory::format_tag;

// --- versions: 2.x makes a primitive_desc from an op desc, 3.x from the arguments
// -------------------

template <class Prim, class... A>
typename Prim::primitive_desc make_pd(const dnnl::engine& e, const dnnl::primitive_attr& attr,
                                      const A&... a) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Prim::primitive_desc(e, a..., attr);
#else
  return typename Prim::primitive_desc(typename Prim::desc(a...), attr, e);
#endif
}

// The forward primitive_desc is the hint.
template <class Prim, class Hint, class... A>
typename Prim::primitive_desc make_backward_pd(const dnnl::engine& e,
                                               const dnnl::primitive_attr& attr, const Hint& hint,
                                               const A&... a) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Prim::primitive_desc(e, a..., hint, attr);
#else
  return typename Prim::primitive_desc(typename Prim::desc(a...), attr, e, hint);
#endif
}

// ReLU as the last step of a convolution or inner product.
void append_relu(dnnl::post_ops& ops);

// --- descriptors
// ------------------------------------------------------------------------------------

dnnl::memory::data_type dnnl_type(DType type);  // f32 and bf16
// Rank 4 in any layout; other ranks are plain.
Md desc_of(const TensorSpec& spec);
// Row-major, of any rank (grouped weights have five axes).
Md plain_desc(const dnnl::memory::dims& dims, DType type);
// The kernel chooses where elements lie.
Md any_desc(const dnnl::memory::dims& dims, DType type);
dnnl::memory::dims dims_of(const Shape& shape);
// Attributes of every primitive here: scratch memory comes from the plan's workspace.
dnnl::primitive_attr base_attr();
// Loops that oneDNN itself calls a reference: right, and a hundred times too slow.
bool is_slow(const std::string& impl);

// The first candidate with a fast kernel, else the first with any; throws dnnl::error if there is
// none.
//   make(candidate) gives a primitive_desc or throws dnnl::error.
template <class Candidate, class Make>
auto first_fast(const std::vector<Candidate>& candidates, const Make& make) {
  using Pd = decltype(make(candidates.front()));
  std::optional<std::pair<Pd, Candidate>> slow;
  for (const Candidate& c : candidates) {
    try {
      Pd pd = make(c);
      if (!is_slow(pd.impl_info_str())) return std::pair(pd, c);
      if (!slow) slow.emplace(pd, c);
    } catch (const dnnl::error&) {
      if (&c == &candidates.back() && !slow) throw;
    }
  }
  return *slow;
}

// --- running
// -----------------------------------------------------------------------------------------

// A primitive and its arguments; run() points them at memory and executes. Allocates nothing
// itself.
class Call {
 public:
  Call() = default;
  Call(const dnnl::engine& engine, const dnnl::primitive& primitive,
       std::initializer_list<std::pair<int, Md>> args);
  explicit operator bool() const { return !args_.empty(); }
  // One pointer for every argument that has a descriptor; others are passed over.
  void run(const dnnl::stream& stream, std::initializer_list<std::pair<int, void*>> pointers);

 private:
  dnnl::primitive primitive_;
  std::vector<dnnl::memory> memories_;
  std::vector<dnnl_exec_arg_t> args_;
};

// Places in a workspace, one after another, 64 bytes apart at least.
class ScratchPlan {
 public:
  size_t add(size_t bytes);
  size_t bytes() const { return bytes_; }

 private:
  size_t bytes_ = 0;
};

void* at(const Tensor& workspace, size_t offset);

// Between the caller's form of a tensor and the kernel's: a reorder through the workspace, or
// nothing where both agree.
class Border {
 public:
  Border() = default;
  // An input: caller -> kernel.
  static Border in(const dnnl::engine& e, const Md& caller, const Md& kernel, ScratchPlan& scratch);
  // An output: kernel -> caller.
  static Border out(const dnnl::engine& e, const Md& kernel, const Md& caller,
                    ScratchPlan& scratch);
  explicit operator bool() const { return static_cast<bool>(reorder_); }
  // Reorders the caller's memory if need be; what the kernel reads.
  void* read(const dnnl::stream& s, void* caller, const Tensor& workspace);
  // What the kernel writes; and afterwards the way to the caller's memory.
  void* target(void* caller, const Tensor& workspace) const;
  void finish(const dnnl::stream& s, void* caller, const Tensor& workspace);

 private:
  Border(const dnnl::engine& e, const Md& from, const Md& to, size_t offset);
  Call reorder_;
  size_t offset_ = 0;
};

// Runs fn and tells a failure of oneDNN as ft::Error 3022 or 3023, or 4001 when memory ran out.
[[noreturn]] void rethrow(const dnnl::error& error, const std::string& what);
template <class Fn>
auto guard(const std::string& what, const Fn& fn) {
  try {
    return fn();
  } catch (const dnnl::error& error) {
    rethrow(error, what);
  }
}

}  // namespace ft::cpu
