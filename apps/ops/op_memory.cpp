// The tensors that measured ops read and write.
#include "apps/ops/op_memory.h"

#include "tensor/rng.h"

namespace ft::ops {
namespace {

constexpr size_t kPeriod = 65536 + 8;  // numbers that are drawn; longer tensors repeat them

}  // namespace

TensorSpec OpMemory::activation(const Shape& shape, DType compute) const {
  TensorSpec own{shape, compute, Layout::plain};
  if (shape.rank() != 4) return own;
  own.layout = backend_.image_layout(compute);
  if (shape.c() == 3) return own;
  Conv2dSpec conv;
  conv.x = {{shape.n(), 3, shape.h(), shape.w()}, compute, own.layout};
  conv.k = shape.c();
  conv.numerics.compute = compute;
  own.layout = backend_.make_conv2d(conv)->y_spec().layout;
  return own;
}

TensorSpec OpMemory::parameter(const Shape& shape) const {
  return {shape, DType::f32, shape.rank() == 4 ? backend_.weight_layout() : Layout::plain};
}

const std::vector<float>& OpMemory::normals() {
  const Rng rng(1, RngPurpose::test);
  while (normals_.size() < kPeriod)
    normals_.push_back(static_cast<float>(rng.normal(normals_.size())));
  return normals_;
}

Tensor OpMemory::block(const std::string& name, DType dtype, size_t bytes, bool fill) {
  Tensor& found = blocks_[name];
  if (found.bytes() >= bytes) return found;
  const auto count = static_cast<int64_t>((bytes + size_of(dtype) - 1) / size_of(dtype));
  found = Tensor({{count}, dtype, Layout::plain}, backend_.allocator());
  if (!fill) {
    backend_.fill_zero(stream_, found);
  } else if (dtype == DType::f32) {
    backend_.convert(stream_, drawn(found.spec(), 1), found);
  } else {
    backend_.convert(stream_, drawn({{count}, DType::f32, Layout::plain}, 1), found);
  }
  backend_.synchronize(stream_);
  return found;
}

Tensor OpMemory::input(const std::string& role, const TensorSpec& spec) {
  const std::string name = role + " in " + std::string(name_of(spec.dtype));
  return block(name, spec.dtype, spec.bytes(), true).reinterpret(spec);
}

Tensor OpMemory::output(const std::string& role, const TensorSpec& spec) {
  return block(role + " out", DType::u8, spec.bytes(), false).reinterpret(spec);
}

Tensor OpMemory::scratch(const std::string& role, size_t bytes) {
  if (bytes == 0) return {};
  return output(role, {{static_cast<int64_t>(bytes)}, DType::u8, Layout::plain});
}

Tensor OpMemory::holding(const TensorSpec& spec, const void* bytes) {
  const Tensor t(spec, backend_.allocator());
  backend_.upload(stream_, bytes, t);
  backend_.synchronize(stream_);
  return t;
}

Tensor OpMemory::drawn(const TensorSpec& spec, float scale, float centre) {
  FT_CHECK(spec.dtype == DType::f32, "weights are f32");
  std::vector<float> values(static_cast<size_t>(spec.padded_elements()));
  for (size_t i = 0; i < values.size(); ++i) values[i] = centre + scale * normals()[i % kPeriod];
  return holding(spec, values.data());
}

}  // namespace ft::ops
