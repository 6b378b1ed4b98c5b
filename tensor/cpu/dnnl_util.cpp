// Descriptors, calls, reorders and errors of oneDNN.
#include "tensor/cpu/dnnl_util.h"

#include <fmt/format.h>

namespace ft::cpu {

void append_relu(dnnl::post_ops& ops) {
#if DNNL_VERSION_MAJOR >= 3
  ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#else
  ops.append_eltwise(1.f, dnnl::algorithm::eltwise_relu, 0.f, 0.f);
#endif
}

dnnl::memory::data_type dnnl_type(DType type) {
  FT_CHECK(type == DType::f32 || type == DType::bf16, "cpu computes in f32 and bf16 only");
  return type == DType::f32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

dnnl::memory::dims dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

Md desc_of(const TensorSpec& spec) {
  if (spec.layout == Layout::plain) return plain_desc(dims_of(spec.shape), spec.dtype);
  FT_CHECK(spec.shape.rank() == 4, "only tensors of rank 4 have a layout");
  const Tag tag = spec.layout == Layout::nhwc     ? Tag::nhwc
                  : spec.layout == Layout::nchw8c ? Tag::nChw8c
                                                  : Tag::nChw16c;
  return {dims_of(spec.shape), dnnl_type(spec.dtype), tag};
}

Md plain_desc(const dnnl::memory::dims& dims, DType type) {
  static constexpr Tag kTags[] = {Tag::undef, Tag::a, Tag::ab, Tag::abc, Tag::abcd, Tag::abcde};
  FT_CHECK(!dims.empty() && dims.size() <= 5, "oneDNN gets between one and five axes");
  return {dims, dnnl_type(type), kTags[dims.size()]};
}

Md any_desc(const dnnl::memory::dims& dims, DType type) {
  return {dims, dnnl_type(type), Tag::any};
}

dnnl::primitive_attr base_attr() {
  dnnl::primitive_attr attr;
  attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attr;
}

bool is_slow(const std::string& impl) { return impl.find("ref") != std::string::npos; }

Call::Call(const dnnl::engine& engine, const dnnl::primitive& primitive,
           std::initializer_list<std::pair<int, Md>> args)
    : primitive_(primitive) {
  for (const auto& [arg, desc] : args) {
    if (desc.get_size() == 0) continue;  // no bias, no scratch, no workspace
    memories_.push_back(dnnl::memory(desc, engine, DNNL_MEMORY_NONE));
    args_.push_back({arg, memories_.back().get()});
  }
}

void Call::run(const dnnl::stream& stream, std::initializer_list<std::pair<int, void*>> pointers) {
  for (size_t i = 0; i < args_.size(); ++i) {
    void* pointer = nullptr;
    for (const auto& [arg, p] : pointers)
      if (arg == args_[i].arg) pointer = p;
    FT_CHECK(pointer != nullptr, fmt::format("oneDNN argument {} has no memory", args_[i].arg));
    if (memories_[i].get_data_handle() != pointer) memories_[i].set_data_handle(pointer);
  }
  dnnl::error::wrap_c_api(dnnl_primitive_execute(primitive_.get(), stream.get(),
                                                 static_cast<int>(args_.size()), args_.data()),
                          "could not execute a primitive");
}

size_t ScratchPlan::add(size_t bytes) {
  const size_t offset = bytes_;
  bytes_ += (bytes + 63) / 64 * 64;
  return offset;
}

void* at(const Tensor& workspace, size_t offset) {
  return workspace.empty() ? nullptr : static_cast<std::byte*>(workspace.data()) + offset;
}

Border::Border(const dnnl::engine& e, const Md& from, const Md& to, size_t offset)
    : offset_(offset) {
  // The scratchpad of a reorder is oneDNN's own: the ones used here need none.
  const dnnl::reorder::primitive_desc pd(e, from, e, to);
  reorder_ = Call(e, dnnl::reorder(pd), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

Border Border::in(const dnnl::engine& e, const Md& caller, const Md& kernel, ScratchPlan& scratch) {
  return caller == kernel ? Border{} : Border(e, caller, kernel, scratch.add(kernel.get_size()));
}

Border Border::out(const dnnl::engine& e, const Md& kernel, const Md& caller,
                   ScratchPlan& scratch) {
  return caller == kernel ? Border{} : Border(e, kernel, caller, scratch.add(kernel.get_size()));
}

void* Border::read(const dnnl::stream& s, void* caller, const Tensor& workspace) {
  if (!reorder_) return caller;
  void* kernel = at(workspace, offset_);
  reorder_.run(s, {{DNNL_ARG_FROM, caller}, {DNNL_ARG_TO, kernel}});
  return kernel;
}

void* Border::target(void* caller, const Tensor& workspace) const {
  return reorder_ ? at(workspace, offset_) : caller;
}

void Border::finish(const dnnl::stream& s, void* caller, const Tensor& workspace) {
  if (reorder_) reorder_.run(s, {{DNNL_ARG_FROM, at(workspace, offset_)}, {DNNL_ARG_TO, caller}});
}

void rethrow(const dnnl::error& error, const std::string& what) {
  if (error.status == dnnl_out_of_memory)
    throw Error(4001, what, fmt::format("oneDNN ran out of memory [{}]", error.what()),
                "use a smaller --batch or --micro-batch, or a machine with more memory");
  if (error.status == dnnl_unimplemented)
    throw Error(3023, what, fmt::format("oneDNN has no kernel for it [{}]", error.what()),
                "report the model and --input-size; --device ref computes it slowly");
  throw Error(3022, what, fmt::format("oneDNN failed [{}]", error.what()),
              "check with --device ref; if that works, report it with the version in the header");
}

}  // namespace ft::cpu
