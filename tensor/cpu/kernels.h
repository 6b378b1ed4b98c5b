// The inner loops of the CPU backend, compiled once for each level of x86-64 (kernels.cpp) and
// chosen at run time, so that one plugin runs everywhere and uses what it finds. They work on raw
// memory, run in the calling thread, and give the same results at every level: all sums have a
// fixed order. This header is seen by code with wide instructions: no function here, so that none
// of them can end up in the rest of the program.
#pragma once

#include <cstdint>

namespace ft::cpu {

constexpr int kMaxLanes = 16;

// The 16-bit float of DType::bf16 as an element.
struct Bf16 {
  uint16_t bits;
};

// --- batch normalisation
// -------------------------------------------------------------------------------

// What one block of channels is multiplied with and shifted by; zero in padding lanes.
// y = (x - mean) * scale + beta, scale = gamma * inverse deviation; dx = scale * g - a - (x - mean)
// * b.
struct BnFactors {
  float mean[kMaxLanes], inverse[kMaxLanes], scale[kMaxLanes], beta[kMaxLanes];
  float a[kMaxLanes], b[kMaxLanes];
};

// Count, mean and sum of squared distances from the mean of all positions so far.
struct BnMoments {
  double count, mean[kMaxLanes], m2[kMaxLanes];
};

// Sums over positions of g (dy behind the ReLU) and of g * (x - mean).
struct BnSums {
  double g[kMaxLanes], gx[kMaxLanes];
};

// Where the gradient passes: everywhere; where the output was positive, computed again from x; or
// by bit.
enum class BnGate { open, recompute, mask };

// `count` positions of one block of channels of one sample, `stride` elements apart.
template <class T>
struct BnRow {
  const T *x, *residual, *dy;  // residual, dy: null where there is none
  T *y, *dx, *dresidual;       // null: not wanted
  uint16_t* mask;              // a bit a lane where y > 0; null: not wanted
  int64_t count, stride;
};

// --- pooling
// -------------------------------------------------------------------------------------------

struct Range {
  int32_t begin, end;
};

// Windows along one axis: output p covers inputs[p], already cut at the borders; input h is in the
// windows of outputs[h]. Uncut, the window of output p begins at p*stride - pad and has `size`
// places.
struct PoolAxis {
  int64_t in, out, size, stride, pad;
  const Range *inputs, *outputs;
};

// One block of channels of one sample; positions of x and y lie `stride` elements apart.
struct PoolWindows {
  PoolAxis rows, columns;
  int64_t stride;
};

// --- element-wise
// --------------------------------------------------------------------------------------

// Address of the random numbers of one sample, as class Rng (tensor/rng.h) lays it out.
struct MaskKey {
  uint32_t key[2];
  uint32_t epoch;      // xor-ed into counter word 1
  uint32_t sample[2];  // counter words 2 and 3
  uint32_t threshold;  // keep where the top 24 bits are at least this: uniform >= p
  float scale;         // 1 / (1 - p)
};

struct SgdFactors {
  float rate, momentum, decay;
};

// --- the tables
// ----------------------------------------------------------------------------------------

// Outputs of element-wise loops may be the memory of an input.
template <class T>
struct ElementKernels {
  void (*add)(const T* a, const T* b, T* y, int64_t count);
  void (*relu)(const T* x, T* y, int64_t count);
  void (*relu_backward)(const T* y, const T* dy, T* dx, int64_t count);
  void (*from_f32)(const float* x, T* y, int64_t count);
  void (*to_f32)(const T* x, float* y, int64_t count);
  // Logical elements first .. end - 1 of a sample, which lie `stride` apart.
  void (*dropout)(const MaskKey& key, int64_t first, int64_t end, const T* x, T* y, int64_t stride);
  void (*sgd_caffe)(const SgdFactors& f, const T* g, float* v, float* w, int64_t count);
  void (*sgd_pytorch)(const SgdFactors& f, const T* g, float* v, float* w, int64_t count);
};

// Loops over W channels at a time (tensor/cpu/lanes.h).
template <class T, int W>
struct LaneKernels {
  void (*bn_moments)(const BnRow<T>& row, BnMoments& moments);
  void (*bn_apply)(const BnFactors& f, const BnRow<T>& row, bool relu);
  void (*bn_sums)(const BnFactors& f, const BnRow<T>& row, BnGate gate, BnSums& sums);
  void (*bn_backward)(const BnFactors& f, const BnRow<T>& row, BnGate gate);
  void (*average)(const PoolWindows& v, const T* x, T* y);
  void (*average_backward)(const PoolWindows& v, const T* dy, T* dx);
  // `place` of the maxima in their windows, W for every output position; null: not wanted.
  void (*max)(const PoolWindows& v, const T* x, T* y, uint16_t* place);
  void (*max_backward)(const PoolWindows& v, const T* dy, const uint16_t* place, T* dx);
};

struct Kernels : ElementKernels<float>,
                 ElementKernels<Bf16>,
                 LaneKernels<float, 16>,
                 LaneKernels<float, 8>,
                 LaneKernels<float, 1>,
                 LaneKernels<Bf16, 16>,
                 LaneKernels<Bf16, 8>,
                 LaneKernels<Bf16, 1> {
  const char* name;
};

// One table a level; the machine must have it.
namespace x86_64 {
extern const Kernels kKernels;
}
namespace x86_64_v3 {
extern const Kernels kKernels;
}
namespace x86_64_v4 {
extern const Kernels kKernels;
}
namespace x86_64_v4_bf16 {
extern const Kernels kKernels;
}

}  // namespace ft::cpu
