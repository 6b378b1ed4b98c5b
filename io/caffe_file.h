// A .caffemodel: the message NetParameter of Caffe in protobuf's wire format, in the form of version 1 ("layers") or 2
// ("layer"). Borrows the bytes; trusts no length of them. Pure function.
// Source: src/caffe/proto/caffe.proto of github.com/BVLC/caffe; protobuf.dev/programming-guides/encoding.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "io/source_tensor.h"

namespace ft {

// Tensors are named LAYER/ROLE, ROLE being weight, bias, gamma, beta, mean or variance. A BatchNorm layer's mean and
// variance are divided by its third blob, as Caffe does. Shapes are Caffe's, which are ours.
// Throws Error 2385 for bytes that are cut or make no sense, 2386 for a network that pools before it normalizes
// (CaffeNet), whose arrays would fit BVLC's AlexNet.
SourceFile open_caffe(std::span<const std::byte> bytes, const std::string& path);

}  // namespace ft
