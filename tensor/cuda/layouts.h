// The layouts that the CUDA backend asks for.
#pragma once

#include "tensor/shape.h"

namespace ft::cuda {

// Tensor cores want channels in eights, so 16-bit images get padded: with at most 8 channels nchw8c is NHWC of 8
// channels. On an H100 that takes a 16-bit stem's forward workspace from 206 MB (batch
// 256) to none; f32 engines gain nothing from it.
inline Layout image_layout(DType compute) {
  return size_of(compute) == 2 ? Layout::nchw8c : Layout::nhwc;
}

}  // namespace ft::cuda
