// Softmax cross-entropy: the loss of a classifier.
#pragma once

#include <cstdint>

namespace ft {

// probability = softmax(logits); loss[n] = -log probability[n, label[n]], each sample by itself. The
// mean over a batch and class weights are the seed of the backward pass: dloss[n] = weight[n].
// A label of -1 marks padding: its loss and its gradient are 0.
struct SoftmaxCrossEntropySpec {
  int64_t n = 0, classes = 0;
};

}  // namespace ft
