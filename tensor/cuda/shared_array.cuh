// shared_array<T, N, struct some_name>(): N elements of shared memory of the calling block, not initialised. The same
// T, N and Name give the same memory. It stands for the __shared__ keyword everywhere in this backend, so that a host
// build of the kernels can give each block memory of its own.
#pragma once

namespace ft::cuda {

template <class T, int N, class Name>
__device__ inline T* shared_array() {
  __shared__ T data[N];
  return data;
}

}  // namespace ft::cuda
