// The table of inner loops for one level of x86-64. Compiled once a level with FT_LEVEL and -march
// set (CMakeLists.txt); includes nothing that could leave a shared inline function behind.
#include "tensor/cpu/kernels.h"

#include "tensor/cpu/kernels_batchnorm.h"
#include "tensor/cpu/kernels_element.h"
#include "tensor/cpu/kernels_pool.h"

namespace ft::cpu {
namespace {

template <class T>
constexpr ElementKernels<T> element_kernels() {
  return {add<T>,         relu<T>,    relu_backward<T>, cast<float, T>,
          cast<T, float>, dropout<T>, sgd_caffe<T>,     sgd_pytorch<T>};
}

template <class T, int W>
constexpr LaneKernels<T, W> lane_kernels() {
  return {bn_moments<T, W>,  bn_apply<T, W>,         bn_sums<T, W>,
          bn_backward<T, W>, pool_average<T, W>,     pool_average_backward<T, W>,
          pool_max<T, W>,    pool_max_backward<T, W>};
}

}  // namespace

namespace FT_LEVEL {

extern constexpr Kernels kKernels{
    element_kernels<float>(), element_kernels<Bf16>(),  lane_kernels<float, 16>(),
    lane_kernels<float, 8>(), lane_kernels<float, 1>(), lane_kernels<Bf16, 16>(),
    lane_kernels<Bf16, 8>(),  lane_kernels<Bf16, 1>(),  FT_LEVEL_NAME};

}  // namespace FT_LEVEL
}  // namespace ft::cpu
