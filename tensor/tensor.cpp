// Views into tensors.
#include "tensor/tensor.h"

namespace ft {

Tensor Tensor::slice(int64_t first, const Shape& shape) const {
  FT_CHECK(spec_.layout == Layout::plain && first >= 0 &&
               first + shape.elements() <= spec_.shape.elements(),
           "slice lies outside of the tensor");
  Tensor t = *this;
  t.spec_.shape = shape;
  t.data_ = static_cast<std::byte*>(data_) + first * static_cast<int64_t>(size_of(spec_.dtype));
  return t;
}

Tensor Tensor::reinterpret(const TensorSpec& spec) const {
  FT_CHECK(spec.bytes() <= bytes(), "reinterpret asks for more bytes than there are");
  Tensor t = *this;
  t.spec_ = spec;
  return t;
}

}  // namespace ft
