// Ops that this version does not have on CUDA. They are refused when a plan is asked for: at setup,
// before step 1.
#include "tensor/cuda/cuda.h"

namespace ft::cuda {
namespace {

[[noreturn]] void refuse(const char* op) {
  throw Error(3090, "--device cuda",
              std::string("op ") + op + " is not available in the CUDA backend of this version",
              "use --device cpu");
}

}  // namespace

std::unique_ptr<Pool2dPlan> CudaBackend::make_pool2d(const Pool2dSpec&) { refuse("pool2d"); }
std::unique_ptr<Pool2dPlan> CudaBackend::make_adaptive_avg_pool2d(const AdaptiveAvgPool2dSpec&) {
  refuse("adaptive_avg_pool2d");
}
std::unique_ptr<BatchNorm2dPlan> CudaBackend::make_batchnorm2d(const BatchNorm2dSpec&) {
  refuse("batchnorm2d");
}
std::unique_ptr<LrnPlan> CudaBackend::make_lrn(const LrnSpec&) { refuse("lrn"); }

}  // namespace ft::cuda
