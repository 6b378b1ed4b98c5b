// How much memory the plans of this backend take, as functions of their specs alone: the plans themselves ask here,
// and so does whoever plans for a GPU that is not there. Pure functions; no CUDA header.
#pragma once

#include <algorithm>

#include "tensor/cuda/scratch.h"
#include "tensor/ops/batchnorm2d.h"

namespace ft::cuda {

// Bytes of the copy of weights in form `wanted`, where the master is f32 in layout `master`.
inline size_t copy_bytes(const TensorSpec& wanted, Layout master) {
  return wanted.dtype == DType::f32 && wanted.layout == master ? 0 : wanted.bytes();
}

// Bands into which a sum over rows is cut, and the bytes of their sums, `sums` f32 a column (bands.cuh).
inline int64_t bands_of(int64_t rows) {
  constexpr int64_t kLeastRows = 64, kMostBands = 256;
  return std::clamp<int64_t>(rows / kLeastRows, 1, kMostBands);
}
inline size_t band_bytes(int64_t rows, int64_t columns, int sums) {
  return static_cast<size_t>(bands_of(rows) * columns * sums) * sizeof(float);
}
// Workspace of column_sum().
inline size_t column_sum_bytes(int64_t rows, int64_t columns) {
  return band_bytes(rows, columns, 1);
}

// Batch-norm: mean and 1/deviation of each channel; a mask, one byte an element, where the sign of y cannot be found
// again from x.
inline bool has_mask(const BatchNorm2dSpec& spec) {
  return spec.relu && spec.add_residual && spec.passes.any_backward();
}
inline size_t statistics_bytes(const BatchNorm2dSpec& spec) {
  return static_cast<size_t>(2 * spec.x.shape.c()) * sizeof(float);
}
inline size_t aux_bytes(const BatchNorm2dSpec& spec) {
  const size_t mask = has_mask(spec) ? static_cast<size_t>(spec.x.shape.elements()) : 0;
  return spec.passes.any_backward() ? statistics_bytes(spec) + mask : 0;
}
// Both sums of the bands, then statistics.
inline size_t band_bytes(const BatchNorm2dSpec& spec) {
  const int64_t channels = spec.x.shape.c();
  return band_bytes(spec.x.shape.elements() / std::max<int64_t>(channels, 1), channels, 2);
}
inline size_t workspace_bytes(const BatchNorm2dSpec& spec) {
  return scratch_bytes({band_bytes(spec), statistics_bytes(spec)});
}

// Max-pooling: which tap of its window was the maximum, one byte an output.
inline size_t max_pool_aux_bytes(const Shape& y) { return static_cast<size_t>(y.elements()); }

// The most workspace that a convolution may ask for, and a matrix product (what cuBLAS itself takes on Hopper).
constexpr size_t kConvolutionWorkspace = size_t{256} << 20, kProductWorkspace = size_t{32} << 20;

// Bytes of a copy of `t` in form `wanted`, which a product reads; 0 where t itself has it.
inline size_t form_bytes(const TensorSpec& t, const TensorSpec& wanted) {
  const bool same_order =
      t.layout == Layout::plain || (t.layout == Layout::nhwc && t.shape.h() * t.shape.w() == 1);
  return t.dtype == wanted.dtype && same_order ? 0 : wanted.bytes();
}

}  // namespace ft::cuda
