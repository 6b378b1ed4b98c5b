// Pooling in NHWC: one thread for a few neighbouring channels of one output (forward) or one input (backward). The
// backward pass gathers from the outputs that cover an input, so that it needs no atomics.
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/elements.cuh"
#include "tensor/cuda/launch.cuh"
#include "tensor/cuda/sizes.h"

namespace ft::cuda {
namespace {

struct Range {
  int64_t first, end;
};

// One axis of a pooling: which inputs an output covers, and which outputs cover an input. Windows:  output p covers
// p*stride - pad ... p*stride - pad + size - 1, cut at the borders. Adaptive: output p covers floor(p*H/P) ...
// ceil((p+1)*H/P) - 1.
struct Axis {
  int64_t in, out, size = 0, stride = 0, pad = 0;  // size 0: adaptive

  __host__ __device__ int64_t start(int64_t p) const {
    return size == 0 ? p * in / out : p * stride - pad;
  }
  __host__ __device__ Range inputs_of(int64_t p) const {
    const int64_t first = start(p), end = size == 0 ? ((p + 1) * in + out - 1) / out : first + size;
    return {first < 0 ? 0 : first, end > in ? in : end};
  }
  __host__ __device__ Range outputs_of(int64_t h) const {
    if (size == 0) return {h * out / in, ((h + 1) * out + in - 1) / in};
    const int64_t below = h + pad - size,
                  last = (h + pad) / stride;  // below: where the first window may not start
    return {below < 0 ? 0 : below / stride + 1, last < out ? last + 1 : out};
  }
};

struct Geometry {
  Axis rows, columns;
  int64_t channels;
  __host__ __device__ int64_t x_offset(int64_t n, int64_t h, int64_t w) const {
    return ((n * rows.in + h) * columns.in + w) * channels;
  }
  __host__ __device__ int64_t y_offset(int64_t n, int64_t p, int64_t q) const {
    return ((n * rows.out + p) * columns.out + q) * channels;
  }
  __host__ __device__ float area(Range h, Range w) const {
    return static_cast<float>((h.end - h.first) * (w.end - w.first));
  }
};

// Item i of {N, rows, columns, C/V}.
struct Item {
  int64_t n, row, column, channel;
  __device__ Item(int64_t i, int64_t rows, int64_t columns, int64_t groups, int lanes) {
    channel = i % groups * lanes;
    i /= groups;
    column = i % columns;
    i /= columns;
    row = i % rows;
    n = i / rows;
  }
};

// The first maximum in row-major order wins, and not-a-number beats every number. index: which tap of the window.
template <class T, int V>
__global__ void max_forward_kernel(const T* __restrict__ x, T* __restrict__ y,
                                   uint8_t* __restrict__ index, Geometry g, int64_t items) {
  for (int64_t i = first_item(); i < items; i += item_stride()) {
    const Item at(i, g.rows.out, g.columns.out, g.channels / V, V);
    const Range h_range = g.rows.inputs_of(at.row), w_range = g.columns.inputs_of(at.column);
    const int64_t top = g.rows.start(at.row), left = g.columns.start(at.column);
    Lanes<T, V> best{};
    Lanes<uint8_t, V> tap{};
    for (int64_t h = h_range.first; h < h_range.end; ++h)
      for (int64_t w = w_range.first; w < w_range.end; ++w) {
        const bool first = h == h_range.first && w == w_range.first;
        const Lanes<T, V> in = lanes<T, V>(x + g.x_offset(at.n, h, w) + at.channel);
#pragma unroll
        for (int k = 0; k < V; ++k) {
          const float v = to_float(in.v[k]), b = to_float(best.v[k]);
          if (!first && !(v > b) && !(v != v && b == b)) continue;
          best.v[k] = in.v[k];
          tap.v[k] = static_cast<uint8_t>((h - top) * g.columns.size + (w - left));
        }
      }
    const int64_t out = g.y_offset(at.n, at.row, at.column) + at.channel;
    lanes<T, V>(y + out) = best;
    if (index != nullptr) lanes<uint8_t, V>(index + out) = tap;
  }
}

template <class T, int V>
__global__ void mean_forward_kernel(const T* __restrict__ x, T* __restrict__ y, Geometry g,
                                    int64_t items) {
  for (int64_t i = first_item(); i < items; i += item_stride()) {
    const Item at(i, g.rows.out, g.columns.out, g.channels / V, V);
    const Range h_range = g.rows.inputs_of(at.row), w_range = g.columns.inputs_of(at.column);
    float sum[V] = {};
    for (int64_t h = h_range.first; h < h_range.end; ++h)
      for (int64_t w = w_range.first; w < w_range.end; ++w) {
        const Lanes<T, V> in = lanes<T, V>(x + g.x_offset(at.n, h, w) + at.channel);
#pragma unroll
        for (int k = 0; k < V; ++k) sum[k] += to_float(in.v[k]);
      }
    Lanes<T, V> out;
#pragma unroll
    for (int k = 0; k < V; ++k) out.v[k] = from_float<T>(sum[k] / g.area(h_range, w_range));
    lanes<T, V>(y + g.y_offset(at.n, at.row, at.column) + at.channel) = out;
  }
}

// dx[n,h,w,c] = sum over the outputs p,q that cover h,w of
//   max:     dy[n,p,q,c] where the maximum of p,q was at h,w
//   average: dy[n,p,q,c] / inputs that p,q covers
template <class T, int V, bool max>
__global__ void backward_kernel(const T* __restrict__ dy, const uint8_t* __restrict__ index,
                                T* __restrict__ dx, Geometry g, int64_t items) {
  for (int64_t i = first_item(); i < items; i += item_stride()) {
    const Item at(i, g.rows.in, g.columns.in, g.channels / V, V);
    const Range ps = g.rows.outputs_of(at.row), qs = g.columns.outputs_of(at.column);
    float sum[V] = {};
    for (int64_t p = ps.first; p < ps.end; ++p)
      for (int64_t q = qs.first; q < qs.end; ++q) {
        const int64_t from = g.y_offset(at.n, p, q) + at.channel;
        const Lanes<T, V> slope = lanes<T, V>(dy + from);
        if constexpr (max) {
          const int64_t here =
              (at.row - g.rows.start(p)) * g.columns.size + (at.column - g.columns.start(q));
          const Lanes<uint8_t, V> tap = lanes<uint8_t, V>(index + from);
#pragma unroll
          for (int k = 0; k < V; ++k) sum[k] += tap.v[k] == here ? to_float(slope.v[k]) : 0.0f;
        } else {
          const float area = g.area(g.rows.inputs_of(p), g.columns.inputs_of(q));
#pragma unroll
          for (int k = 0; k < V; ++k) sum[k] += to_float(slope.v[k]) / area;
        }
      }
    Lanes<T, V> out;
#pragma unroll
    for (int k = 0; k < V; ++k) out.v[k] = from_float<T>(sum[k]);
    lanes<T, V>(dx + g.x_offset(at.n, at.row, at.column) + at.channel) = out;
  }
}

class CudaPool2d final : public Pool2dPlan {
 public:
  CudaPool2d(CudaBackend& backend, const TensorSpec& x, const Shape& y, Axis rows, Axis columns,
             bool max, const PassSet& passes)
      : backend_(backend),
        x_(x),
        y_{y, x.dtype, Layout::nhwc},
        g_{rows, columns, x.shape.c()},
        max_(max),
        backward_(passes.backward_data) {
    backend.require(x.dtype, "pool2d");
    FT_CHECK(x.layout == Layout::nhwc, "pooling on CUDA reads nhwc, not " + x.str());
    FT_CHECK(!max || rows.size * columns.size <= 256, "a max-pool window has at most 256 taps");
  }

  const TensorSpec& y_spec() const override { return y_; }
  // One byte an output: which tap of its window was the maximum.
  size_t aux_bytes() const override { return max_ && backward_ ? max_pool_aux_bytes(y_.shape) : 0; }
  std::string describe(PassKind) const override {
    return max_ ? "cuda:max_pool" : "cuda:average_pool";
  }

  void forward(StreamRef s, const Tensor& x, const Tensor& y, const Tensor& aux,
               const Tensor&) override {
    FT_CHECK(x.spec() == x_ && y.spec() == y_,
             "pooling runs on other tensors than it was planned for");
    auto* index = aux_bytes() == 0 ? nullptr : static_cast<uint8_t*>(aux.data());
    with_lanes([&]<class T, int V>(Lanes<T, V>) {
      const int64_t items = y_.shape.elements() / V;
      if (max_)
        launch(backend_.enter(s), blocks_for(items), kBlock, max_forward_kernel<T, V>,
               data_of<T>(x), data_of<T>(y), index, g_, items);
      else
        launch(backend_.enter(s), blocks_for(items), kBlock, mean_forward_kernel<T, V>,
               data_of<T>(x), data_of<T>(y), g_, items);
    });
  }

  void backward_data(StreamRef s, const Tensor& dy, const Tensor& aux, const Tensor& dx,
                     const Tensor&) override {
    FT_CHECK(dy.spec() == y_ && dx.spec() == x_,
             "pooling runs on other tensors than it was planned for");
    FT_CHECK(backward_, "a pooling runs a pass that its plan was not made for");
    with_lanes([&]<class T, int V>(Lanes<T, V>) {
      const int64_t items = x_.shape.elements() / V;
      launch(backend_.enter(s), blocks_for(items), kBlock,
             max_ ? backward_kernel<T, V, true> : backward_kernel<T, V, false>, data_of<T>(dy),
             static_cast<const uint8_t*>(aux.data()), data_of<T>(dx), g_, items);
    });
  }

 private:
  // 16 bytes of channels a thread where C allows it.
  template <class Fn>
  void with_lanes(Fn fn) const {
    if (x_.shape.elements() == 0) return;
    with_type(x_.dtype, [&](auto type) {
      using T = decltype(type);
      constexpr int kSize = Pack<T>::kSize;
      x_.shape.c() % kSize == 0 ? fn(Lanes<T, kSize>{}) : fn(Lanes<T, 1>{});
    });
  }

  CudaBackend& backend_;
  const TensorSpec x_, y_;
  const Geometry g_;
  const bool max_, backward_;
};

}  // namespace

std::unique_ptr<Pool2dPlan> CudaBackend::make_pool2d(const Pool2dSpec& spec) {
  check_spec(spec, "pool2d");
  const Shape y = spec.y_shape();
  return std::make_unique<CudaPool2d>(
      *this, spec.x, y, Axis{spec.x.shape.h(), y.h(), spec.r, spec.stride_h, spec.pad_h},
      Axis{spec.x.shape.w(), y.w(), spec.s, spec.stride_w, spec.pad_w},
      spec.kind == Pool2dSpec::Kind::max, spec.passes);
}

std::unique_ptr<Pool2dPlan> CudaBackend::make_adaptive_avg_pool2d(
    const AdaptiveAvgPool2dSpec& spec) {
  FT_CHECK(spec.p >= 1 && spec.q >= 1, "adaptive pooling needs an output");
  return std::make_unique<CudaPool2d>(*this, spec.x, spec.y_shape(), Axis{spec.x.shape.h(), spec.p},
                                      Axis{spec.x.shape.w(), spec.q}, false, spec.passes);
}

}  // namespace ft::cuda
