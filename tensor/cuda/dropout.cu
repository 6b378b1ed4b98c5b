// Dropout: masks that depend on where an element lies logically and on nothing else.
#include <cmath>

#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/philox.cuh"

namespace ft::cuda {
namespace {

// Four neighbouring logical elements of a sample an item: they share a block of random numbers. uniform() >= p is
// (bits >> 8) >= threshold with threshold = ceil(p * 2^24), exactly.
template <class T>
__global__ void dropout_kernel(const T* x, T* y, const uint64_t* __restrict__ state,
                               Placement place, int64_t samples, uint32_t node, uint32_t threshold,
                               float scale) {
  const int64_t per_sample = place.channels * place.height * place.width,
                blocks = (per_sample + 3) / 4;
  for (int64_t i = first_item(); i < samples * blocks; i += item_stride()) {
    const int64_t n = i / blocks, block = i % blocks;
    const uint64_t sample = uint64_t{node} << 32 | (state[2] + static_cast<uint64_t>(n));
    const RandomBlock random =
        random_block(state[0], RngPurpose::dropout, state[1], sample, static_cast<uint64_t>(block));
    for (int64_t k = 0, element = block * 4; k < 4 && element < per_sample; ++k, ++element) {
      const int64_t row = element / place.width;
      const Position at{n, row / place.height, row % place.height, element % place.width};
      const int64_t offset = place.offset(at);
      y[offset] = random.word[k] >> 8 >= threshold ? from_float<T>(to_float(x[offset]) * scale)
                                                   : from_float<T>(0.0f);
    }
  }
}

}  // namespace

void CudaBackend::dropout(StreamRef s, const DropoutSpec& spec, const Tensor& x,
                          const Tensor& state, const Tensor& y) {
  FT_CHECK(spec.p >= 0 && spec.p < 1 && x.spec() == y.spec(),
           "dropout needs p in [0, 1) and equal specs");
  FT_CHECK(x.spec().padded_elements() == x.shape().elements(), "dropout takes no padded layouts");
  if (x.shape().elements() == 0) return;
  const auto threshold = static_cast<uint32_t>(std::ceil(spec.p * 16777216.0));
  const int64_t items = x.shape().n() * ((x.shape().per_sample() + 3) / 4);
  with_type(x.spec().dtype, [&](auto type) {
    using T = decltype(type);
    launch(enter(s), blocks_for(items), kBlock, dropout_kernel<T>, data_of<T>(x), data_of<T>(y),
           data_of<uint64_t>(state), Placement(x.spec()), x.shape().n(), spec.node, threshold,
           static_cast<float>(1 / (1 - spec.p)));
  });
}

}  // namespace ft::cuda
