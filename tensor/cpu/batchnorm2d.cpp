// Batch normalisation with residual and ReLU in own loops (kernels_batchnorm.h): one pass for the
// sums and one for the values, each way. A thread takes whole blocks of channels, so that the
// second pass finds the block in its cache; only where blocks are few for the threads are samples
// split as well.
#include "tensor/ops/batchnorm2d.h"

#include <algorithm>
#include <array>

#include "tensor/cpu/batchnorm_factors.h"
#include "tensor/cpu/cpu.h"
#include "tensor/cpu/lanes.h"
#include "tensor/cpu/parallel.h"

namespace ft {
namespace {

using cpu::BnFactors;
using cpu::BnGate;
using cpu::BnMoments;
using cpu::BnSums;
using cpu::Lanes;

// Blocks that are taken together: as many as fill this run of memory.
constexpr int64_t kRunBytes = 64 << 10, kMaxTogether = 16;
using PieceFactors = std::array<BnFactors, kMaxTogether>;

template <class T, int W>
class CpuBatchNorm2d final : public BatchNorm2dPlan {
 public:
  CpuBatchNorm2d(CpuBackend& backend, const BatchNorm2dSpec& spec)
      : backend_(backend), kernels_(backend.kernels()), spec_(spec), view_(spec.x) {
    const int64_t threads = backend.threads();
    const bool even = view_.blocks % threads == 0 || view_.blocks >= 4 * threads;
    splits_ = even ? 1 : std::clamp<int64_t>(view_.n, 1, threads);
    const int64_t row_bytes = view_.positions * W * static_cast<int64_t>(sizeof(T));
    together_ = std::clamp<int64_t>(kRunBytes / std::max<int64_t>(1, row_bytes), 1, kMaxTogether);
    if (spec.relu) gate_ = spec.add_residual ? BnGate::mask : BnGate::recompute;
  }

  const TensorSpec& y_spec() const override { return spec_.x; }
  std::string describe(PassKind) const override { return backend_.kernels_name(); }
  // The sums of every split.
  size_t workspace_bytes() const override {
    return static_cast<size_t>(view_.blocks * splits_) *
           std::max(sizeof(BnMoments), sizeof(BnSums));
  }
  // Mean and 1/deviation of the batch, then, where a residual was added in front of a ReLU, a mask
  // of 16 bits a position. Without a residual the sign in front of the ReLU is computed again from
  // x.
  size_t aux_bytes() const override {
    if (!spec_.passes.any_backward()) return 0;
    const int64_t masks = gate_ == BnGate::mask ? view_.n * view_.blocks * view_.positions : 0;
    return mask_offset() + static_cast<size_t>(masks) * sizeof(uint16_t);
  }

  void forward(StreamRef, const Tensor& x, const Tensor& residual, const BatchNormParams& params,
               const Tensor& y, const Tensor& aux, const Tensor& workspace) override;
  void backward(StreamRef, const Tensor& x, const Tensor& dy, const BatchNormParams& params,
                const Tensor& aux, const BatchNormGradients& to, const Tensor& workspace) override;

 private:
  bool batch() const { return spec_.mode == BnMode::batch; }
  size_t mask_offset() const {
    return batch() ? static_cast<size_t>(2 * view_.channels) * sizeof(float) : 0;
  }
  static T* at(const Tensor& t, int64_t offset) {
    return t.empty() ? nullptr : cpu::data_of<T>(t) + offset;
  }

  // Some neighbouring blocks of channels in one split of the samples.
  struct Piece {
    int64_t first_block, end_block, split;
  };
  // Calls fn(block, row) for all rows of a piece, in the order of memory; `base` holds what the row
  // points to.
  template <class Fn>
  void each_row(const Piece& piece, const cpu::BnRow<T>& base, const Fn& fn) const;
  // Calls sums(piece) for all, then values(piece), which may read all sums of its blocks.
  template <class Sums, class Values>
  void two_passes(const Sums& sums, const Values& values) const;
  // fn(block) for the blocks of a piece.
  template <class Fn>
  static PieceFactors factors_of(const Piece& piece, const Fn& fn) {
    PieceFactors all;
    for (int64_t b = piece.first_block; b < piece.end_block; ++b)
      all[static_cast<size_t>(b - piece.first_block)] = fn(b);
    return all;
  }
  // Where the sums of a block in one split stand in the workspace.
  int64_t slot(const Piece& piece, int64_t block) const { return block * splits_ + piece.split; }

  cpu::ChannelRange channels(int64_t block) const { return {block * W, view_.used(block)}; }
  // Mean and 1/deviation that forward saved, channel `first` first.
  float* saved_mean(const Tensor& aux, int64_t first) const {
    return cpu::data_of<float>(aux) + first;
  }
  float* saved_inverse(const Tensor& aux, int64_t first) const {
    return cpu::data_of<float>(aux) + view_.channels + first;
  }
  BnFactors batch_factors(const BatchNormParams& params, const BnMoments& m, const Tensor& aux,
                          int64_t block, bool keep) const;
  BnFactors saved_factors(const BatchNormParams& params, const Tensor& aux, int64_t block) const;

  CpuBackend& backend_;
  const cpu::LaneKernels<T, W>& kernels_;
  const BatchNorm2dSpec spec_;
  const Lanes view_;
  int64_t splits_ = 1, together_ = 1;
  BnGate gate_ = BnGate::open;
};

template <class T, int W>
template <class Fn>
void CpuBatchNorm2d<T, W>::each_row(const Piece& piece, const cpu::BnRow<T>& base,
                                    const Fn& fn) const {
  const auto moved = [](auto* p, int64_t by) { return p == nullptr ? nullptr : p + by; };
  const int64_t end = view_.n * (piece.split + 1) / splits_;
  for (int64_t n = view_.n * piece.split / splits_; n < end; ++n)
    for (int64_t block = piece.first_block; block < piece.end_block; ++block) {
      const int64_t o = view_.offset(n, block);
      fn(block, cpu::BnRow<T>{moved(base.x, o), moved(base.residual, o), moved(base.dy, o),
                              moved(base.y, o), moved(base.dx, o), moved(base.dresidual, o),
                              moved(base.mask, (n * view_.blocks + block) * view_.positions),
                              view_.positions, view_.stride});
    }
}

template <class T, int W>
template <class Sums, class Values>
void CpuBatchNorm2d<T, W>::two_passes(const Sums& sums, const Values& values) const {
  const int threads = backend_.threads();
  if (splits_ == 1)
    return cpu::parallel_for(threads, view_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; b += together_) {
        const Piece piece{b, std::min(b + together_, end), 0};
        sums(piece);
        values(piece);
      }
    });
  const auto pass = [&](const auto& fn) {
    cpu::parallel_for(threads, view_.blocks * splits_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t block = i / splits_;
        fn(Piece{block, block + 1, i % splits_});
      }
    });
  };
  pass(sums);
  pass(values);
}

// `keep`: also saves them for backward and moves the running statistics.
template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::batch_factors(const BatchNormParams& params, const BnMoments& m,
                                              const Tensor& aux, int64_t block, bool keep) const {
  const cpu::ChannelRange range = channels(block);
  const int64_t count = std::min<int64_t>(range.count, W);
  float mean[W], inverse[W];
  for (int l = 0; l < W; ++l) {
    mean[l] = static_cast<float>(m.mean[l]);
    inverse[l] = cpu::inverse_deviation(m.m2[l] / m.count, spec_.epsilon);
  }
  if (keep) cpu::bn_move_running(params, range, m, spec_.momentum);
  if (keep && !aux.empty()) {
    std::copy_n(mean, count, saved_mean(aux, range.first));
    std::copy_n(inverse, count, saved_inverse(aux, range.first));
  }
  return cpu::bn_factors(params, range, mean, inverse);
}

template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::saved_factors(const BatchNormParams& params, const Tensor& aux,
                                              int64_t block) const {
  const cpu::ChannelRange range = channels(block);
  if (!batch()) return cpu::bn_running_factors(params, range, spec_.epsilon);
  return cpu::bn_factors(params, range, saved_mean(aux, range.first),
                         saved_inverse(aux, range.first));
}

template <class T, int W>
void CpuBatchNorm2d<T, W>::forward(StreamRef, const Tensor& x, const Tensor& residual,
                                   const BatchNormParams& params, const Tensor& y,
                                   const Tensor& aux, const Tensor& workspace) {
  FT_CHECK(!spec_.add_residual || residual.spec() == spec_.x,
           "the residual of a batch-norm lies as x does");
  auto* moments = static_cast<BnMoments*>(workspace.data());
  cpu::BnRow<T> base{};
  base.x = at(x, 0);
  base.residual = spec_.add_residual ? at(residual, 0) : nullptr;
  base.y = at(y, 0);
  if (gate_ == BnGate::mask && !aux.empty())
    base.mask = reinterpret_cast<uint16_t*>(cpu::data_of<std::byte>(aux) + mask_offset());
  two_passes(
      [&](const Piece& piece) {
        if (!batch()) return;
        for (int64_t b = piece.first_block; b < piece.end_block; ++b) moments[slot(piece, b)] = {};
        each_row(piece, base, [&](int64_t block, const auto& row) {
          kernels_.bn_moments(row, moments[slot(piece, block)]);
        });
      },
      [&](const Piece& piece) {
        const PieceFactors f = factors_of(piece, [&](int64_t block) {
          if (!batch()) return cpu::bn_running_factors(params, channels(block), spec_.epsilon);
          const BnMoments m = cpu::united(moments + block * splits_, splits_);
          return batch_factors(params, m, aux, block, piece.split == 0);
        });
        each_row(piece, base, [&](int64_t block, const auto& row) {
          kernels_.bn_apply(f[block - piece.first_block], row, spec_.relu);
        });
      });
}

template <class T, int W>
void CpuBatchNorm2d<T, W>::backward(StreamRef, const Tensor& x, const Tensor& dy,
                                    const BatchNormParams& params, const Tensor& aux,
                                    const BatchNormGradients& to, const Tensor& workspace) {
  auto* parts = static_cast<BnSums*>(workspace.data());
  cpu::BnRow<T> base{};
  base.x = at(x, 0);
  base.dy = at(dy, 0);
  base.dx = at(to.dx, 0);
  base.dresidual = at(to.dresidual, 0);
  if (gate_ == BnGate::mask)
    base.mask = reinterpret_cast<uint16_t*>(cpu::data_of<std::byte>(aux) + mask_offset());
  const auto positions = static_cast<double>(view_.n * view_.positions);
  const bool needs_sums = batch() || !to.dgamma.empty() || !to.dbeta.empty();
  two_passes(
      [&](const Piece& piece) {
        if (!needs_sums) return;
        const PieceFactors f =
            factors_of(piece, [&](int64_t block) { return saved_factors(params, aux, block); });
        for (int64_t b = piece.first_block; b < piece.end_block; ++b) parts[slot(piece, b)] = {};
        each_row(piece, base, [&](int64_t block, const auto& row) {
          kernels_.bn_sums(f[block - piece.first_block], row, gate_, parts[slot(piece, block)]);
        });
      },
      [&](const Piece& piece) {
        const PieceFactors f = factors_of(piece, [&](int64_t block) {
          BnFactors one = saved_factors(params, aux, block);
          if (!needs_sums) return one;
          const BnSums sums = cpu::united(parts + block * splits_, splits_);
          if (piece.split == 0) cpu::bn_write_gradients(to, channels(block), one, sums);
          if (batch()) cpu::bn_add_statistics_gradient(one, channels(block), sums, positions);
          return one;
        });
        if (to.dx.empty() && to.dresidual.empty()) return;
        each_row(piece, base, [&](int64_t block, const auto& row) {
          kernels_.bn_backward(f[block - piece.first_block], row, gate_);
        });
      });
}

}  // namespace

std::unique_ptr<BatchNorm2dPlan> CpuBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  require(spec.x.dtype, "batchnorm2d");
  return cpu::with_lanes<BatchNorm2dPlan>(spec.x, [&](auto element, auto lanes) {
    return std::make_unique<CpuBatchNorm2d<decltype(element), decltype(lanes)::value>>(*this, spec);
  });
}

}  // namespace ft
