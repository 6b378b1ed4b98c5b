// The host's version of tensor/cuda/shared_array.cuh; the build of the kernels as C++ finds this one first.
#pragma once

#include "tests/sim/emulator.h"

namespace ft::cuda {

template <class T, int N, class Name>
T* shared_array() {
  static const char key = 0;
  return static_cast<T*>(sim::shared_memory(&key, sizeof(T) * N));
}

}  // namespace ft::cuda
