// A tensor: a spec and a pointer. It either shares a Storage (freed with the last tensor that uses it)
// or is a view into memory that somebody else keeps, such as the arena; a view owns nothing.
// Copying copies the handle, never the elements. Not synchronised.
#pragma once

#include <cstddef>
#include <memory>

#include "tensor/allocator.h"
#include "tensor/error.h"
#include "tensor/shape.h"

namespace ft {

// One block of memory, given back to its allocator at the end. The allocator must outlive it.
class Storage {
 public:
  Storage(Allocator& allocator, size_t bytes)
      : allocator_(allocator), bytes_(bytes), data_(allocator.allocate(bytes)) {}
  ~Storage() { allocator_.release(data_, bytes_); }
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  void* data() const { return data_; }
  size_t bytes() const { return bytes_; }

 private:
  Allocator& allocator_;
  size_t bytes_;
  void* data_;
};

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<uint8_t> {
  static constexpr DType value = DType::u8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<uint64_t> {
  static constexpr DType value = DType::u64;
};

class Tensor {
 public:
  Tensor() = default;  // empty: "nobody needs it"
  // A view. `data` holds spec.bytes() bytes and outlives the view.
  Tensor(TensorSpec spec, void* data) : spec_(spec), data_(data) {}
  // Owns a fresh block of `allocator`, not initialised.
  Tensor(TensorSpec spec, Allocator& allocator)
      : spec_(spec), storage_(std::make_shared<Storage>(allocator, spec.bytes())) {
    data_ = storage_->data();
  }

  bool empty() const { return data_ == nullptr; }
  const TensorSpec& spec() const { return spec_; }
  const Shape& shape() const { return spec_.shape; }
  size_t bytes() const { return empty() ? 0 : spec_.bytes(); }
  void* data() const { return data_; }

  // The elements, where the host can reach them (ref, cpu). The type must be the tensor's own.
  template <class T>
  T* as() const {
    FT_CHECK(DTypeOf<T>::value == spec_.dtype, "tensor is read as another element type");
    return static_cast<T*>(data_);
  }

  // `count` elements from `first` on of a plain tensor, as a tensor of `shape`; shares the storage.
  Tensor slice(int64_t first, const Shape& shape) const;
  // The same memory under another spec of at most as many bytes; shares the storage.
  Tensor reinterpret(const TensorSpec& spec) const;

 private:
  TensorSpec spec_;
  std::shared_ptr<Storage> storage_;
  void* data_ = nullptr;
};

}  // namespace ft
