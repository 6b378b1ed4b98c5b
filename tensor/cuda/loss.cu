// Softmax cross-entropy: one block a sample; sums in f32 in an order that depends on the number of classes alone.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/shared_array.cuh"

namespace ft::cuda {
namespace {

constexpr int kThreads = 128;

struct Largest {
  __device__ float operator()(float a, float b) const {
    return a > b || a != a ? a : b;
  }  // keeps not-a-number
};
struct Sum {
  __device__ float operator()(float a, float b) const { return a + b; }
};

// All threads of a block get op over their values, combined as a tree. Op tells two uses of the memory apart.
template <class Op>
__device__ float combine(float v, Op op) {
  float* values = shared_array<float, kThreads, Op>();
  values[threadIdx.x] = v;
  __syncthreads();
  for (unsigned half = kThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half)
      values[threadIdx.x] = op(values[threadIdx.x], values[threadIdx.x + half]);
    __syncthreads();
  }
  return values[0];
}

// top = max over c of logits[n,c];  total = sum over c of exp(logits[n,c] - top) probability[n,c] = exp(logits[n,c] -
// top) / total
// loss[n] = log(total) - (logits[n,label] - top), 0 where label is -1; a label that is no class gives not-a-number
__global__ void forward_kernel(const float* __restrict__ logits, const int32_t* __restrict__ labels,
                               float* __restrict__ loss, float* __restrict__ probability,
                               int64_t samples, int64_t classes) {
  for (int64_t n = blockIdx.x; n < samples; n += gridDim.x) {
    const float* row = logits + n * classes;
    float top = -INFINITY, total = 0;
    for (int64_t c = threadIdx.x; c < classes; c += kThreads) top = Largest{}(row[c], top);
    top = combine(top, Largest{});
    for (int64_t c = threadIdx.x; c < classes; c += kThreads) total += expf(row[c] - top);
    total = combine(total, Sum{});
    for (int64_t c = threadIdx.x; c < classes; c += kThreads)
      probability[n * classes + c] = expf(row[c] - top) / total;
    if (threadIdx.x == 0) {
      const int32_t label = labels[n];
      const bool is_class = label >= 0 && label < classes;
      loss[n] = is_class ? logf(total) - (row[label] - top) : label == -1 ? 0.0f : NAN;
    }
    __syncthreads();  // the shared values are written again for the next sample
  }
}

// dlogits[n,c] = dloss[n] * (probability[n,c] - (1 if c is the label)), 0 where label is -1
__global__ void backward_kernel(const float* __restrict__ probability,
                                const int32_t* __restrict__ labels, const float* __restrict__ dloss,
                                float* __restrict__ dlogits, int64_t count, int64_t classes) {
  for (int64_t i = first_item(); i < count; i += item_stride()) {
    const int64_t n = i / classes, c = i % classes;
    const int32_t label = labels[n];
    dlogits[i] = label == -1 ? 0.0f : dloss[n] * (probability[i] - (c == label ? 1.0f : 0.0f));
  }
}

// halted = 1 if one of x is not finite; one block.
__global__ void halt_kernel(const float* __restrict__ x, int64_t count,
                            uint64_t* __restrict__ halted) {
  float bad = 0;
  for (int64_t i = threadIdx.x; i < count; i += kThreads) bad = isfinite(x[i]) ? bad : 1.0f;
  bad = combine(bad, Largest{});
  if (threadIdx.x == 0 && bad != 0) *halted = 1;
}

}  // namespace

void CudaBackend::halt_unless_finite(StreamRef s, const Tensor& x, const Tensor& state) {
  launch(enter(s), 1, kThreads, halt_kernel, x.as<float>(), x.shape().elements(),
         data_of<uint64_t>(state) + 4);
}

void CudaBackend::softmax_cross_entropy_forward(StreamRef s, const Tensor& logits,
                                                const Tensor& labels, const Tensor& loss,
                                                const Tensor& probability) {
  const int64_t samples = logits.shape().n(), classes = logits.shape().per_sample();
  if (samples == 0) return;
  const dim3 grid(static_cast<unsigned>(std::min<int64_t>(samples, 4096)));
  launch(enter(s), grid, kThreads, forward_kernel, logits.as<float>(), labels.as<int32_t>(),
         loss.as<float>(), probability.as<float>(), samples, classes);
}

void CudaBackend::softmax_cross_entropy_backward(StreamRef s, const Tensor& probability,
                                                 const Tensor& labels, const Tensor& dloss,
                                                 const Tensor& dlogits) {
  const int64_t count = dlogits.shape().elements();
  if (count == 0) return;
  launch(enter(s), blocks_for(count), kBlock, backward_kernel, probability.as<float>(),
         labels.as<int32_t>(), dloss.as<float>(), dlogits.as<float>(), count,
         dlogits.shape().per_sample());
}

}  // namespace ft::cuda
