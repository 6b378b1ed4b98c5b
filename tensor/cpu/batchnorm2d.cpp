// Batch normalisation with residual and ReLU in own loops: one pass for the sums and one for the
// values, each way. A thread takes whole blocks of channels, so that the second pass finds the
// block in its cache; only where blocks are fewer than threads are the samples split as well.
#include "tensor/ops/batchnorm2d.h"

#include <cmath>

#include "tensor/cpu/batchnorm_rows.h"
#include "tensor/cpu/cpu.h"

namespace ft {
namespace {

using cpu::BnFactors;
using cpu::BnSums;
using cpu::Gate;
using cpu::Lanes;
using cpu::Moments;

template <class T, int W>
class CpuBatchNorm2d final : public BatchNorm2dPlan {
 public:
  CpuBatchNorm2d(CpuBackend& backend, const BatchNorm2dSpec& spec)
      : backend_(backend), spec_(spec), view_(spec.x) {
    const int64_t threads = backend.threads();
    const bool even = view_.blocks % threads == 0 || view_.blocks >= 4 * threads;
    splits_ = even ? 1 : std::clamp<int64_t>(view_.n, 1, threads);
    if (spec.relu) gate_ = spec.add_residual ? Gate::mask : Gate::recompute;
  }

  const TensorSpec& y_spec() const override { return spec_.x; }
  std::string describe(PassKind) const override { return "loops"; }
  // Sums of every split.
  size_t workspace_bytes() const override {
    return static_cast<size_t>(view_.blocks * splits_) * std::max(sizeof(Moments), sizeof(BnSums));
  }
  // Mean and 1/deviation of the batch, then a mask of 16 bits a position where a residual came in.
  size_t aux_bytes() const override {
    if (!spec_.passes.any_backward()) return 0;
    const int64_t masks = gate_ == Gate::mask ? view_.n * view_.blocks * view_.positions : 0;
    return mask_offset() + static_cast<size_t>(masks) * sizeof(uint16_t);
  }

  void forward(StreamRef, const Tensor& x, const Tensor& residual, const BatchNormParams& params,
               const Tensor& y, const Tensor& aux, const Tensor& workspace) override;
  void backward(StreamRef, const Tensor& x, const Tensor& dy, const BatchNormParams& params,
                const Tensor& aux, const BatchNormGradients& gradients,
                const Tensor& workspace) override;

 private:
  bool batch() const { return spec_.mode == BnMode::batch; }
  size_t mask_offset() const {
    return batch() ? static_cast<size_t>(2 * view_.channels) * sizeof(float) : 0;
  }
  const uint16_t* mask(const Tensor& aux, int64_t n, int64_t block) const {
    return gate_ == Gate::mask ? mask_to(aux, n, block) : nullptr;
  }
  uint16_t* mask_to(const Tensor& aux, int64_t n, int64_t block) const {
    if (aux.empty()) return nullptr;
    auto* masks = reinterpret_cast<uint16_t*>(static_cast<std::byte*>(aux.data()) + mask_offset());
    return masks + (n * view_.blocks + block) * view_.positions;
  }
  static const T* row(const Tensor& t, int64_t offset) {
    return t.empty() ? nullptr : cpu::data_of<T>(t) + offset;
  }
  static T* row_to(const Tensor& t, int64_t offset) {
    return t.empty() ? nullptr : cpu::data_of<T>(t) + offset;
  }

  // Calls sums(block, split) for all, then values(block, split), which may read all sums of its
  // block.
  template <class Sums, class Values>
  void two_passes(const Sums& sums, const Values& values) const;
  // Calls fn(n, offset of the row) for the samples of a split.
  template <class Fn>
  void each_row(int64_t block, int64_t split, const Fn& fn) const {
    for (int64_t n = view_.n * split / splits_; n < view_.n * (split + 1) / splits_; ++n)
      fn(n, view_.offset(n, block));
  }

  BnFactors factors(const BatchNormParams& params, const float* mean, const float* inverse,
                    int64_t block) const;
  BnFactors running_factors(const BatchNormParams& params, int64_t block) const;
  BnFactors batch_factors(const BatchNormParams& params, const Moments* parts, const Tensor& aux,
                          int64_t block, bool keep) const;
  BnFactors saved_factors(const BatchNormParams& params, const Tensor& aux, int64_t block) const;
  void take_sums(BnFactors& f, const BnSums* parts, int64_t block,
                 const BatchNormGradients* keep) const;
  template <bool kResidual, bool kRelu>
  void apply(const BnFactors& f, const Tensor& x, const Tensor& residual, const Tensor& y,
             const Tensor& aux, int64_t block, int64_t split) const;
  template <Gate kGate>
  void backward_gated(const Tensor& x, const Tensor& dy, const BatchNormParams& params,
                      const Tensor& aux, const BatchNormGradients& gradients, BnSums* sums) const;

  CpuBackend& backend_;
  const BatchNorm2dSpec spec_;
  const Lanes view_;
  int64_t splits_ = 1;
  Gate gate_ = Gate::open;
};

template <class T, int W>
template <class Sums, class Values>
void CpuBatchNorm2d<T, W>::two_passes(const Sums& sums, const Values& values) const {
  const int threads = backend_.threads();
  if (splits_ == 1) {
    cpu::parallel_for(threads, view_.blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        sums(b, 0);
        values(b, 0);
      }
    });
    return;
  }
  const auto pass = [&](const auto& fn) {
    cpu::parallel_for(threads, view_.blocks * splits_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) fn(i / splits_, i % splits_);
    });
  };
  pass(sums);
  pass(values);
}

template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::factors(const BatchNormParams& params, const float* mean,
                                        const float* inverse, int64_t block) const {
  BnFactors f;
  const int64_t c = block * W;
  for (int64_t l = 0; l < view_.used(block); ++l) {
    f.mean[l] = mean[l];
    f.scale[l] = params.gamma.as<float>()[c + l] * inverse[l];
    f.inverse[l] = inverse[l];
    f.beta[l] = params.beta.as<float>()[c + l];
  }
  return f;
}

template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::running_factors(const BatchNormParams& params,
                                                int64_t block) const {
  float inverse[W];
  const float* variance = params.running_var.as<float>() + block * W;
  for (int64_t l = 0; l < view_.used(block); ++l)
    inverse[l] = static_cast<float>(1 / std::sqrt(variance[l] + spec_.epsilon));
  return factors(params, params.running_mean.as<float>() + block * W, inverse, block);
}

// Joins the moments of all splits. `keep`: also saves them for backward and moves the running
// statistics.
template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::batch_factors(const BatchNormParams& params, const Moments* parts,
                                              const Tensor& aux, int64_t block, bool keep) const {
  Moments m;
  for (int64_t i = 0; i < splits_; ++i)
    if (parts[i].count > 0) m.merge(parts[i].count, parts[i].mean, parts[i].m2, W);
  float mean[W], inverse[W];
  for (int l = 0; l < W; ++l) {
    mean[l] = static_cast<float>(m.mean[l]);
    inverse[l] = static_cast<float>(1 / std::sqrt(m.m2[l] / m.count + spec_.epsilon));
  }
  for (int64_t l = 0; keep && l < view_.used(block); ++l) {
    const int64_t c = block * W + l;
    const auto move = [&](float& running, double value) {
      running = static_cast<float>((1 - spec_.momentum) * running + spec_.momentum * value);
    };
    move(params.running_mean.as<float>()[c], m.mean[l]);
    move(params.running_var.as<float>()[c], m.m2[l] / std::max(1.0, m.count - 1));
    if (aux.empty()) continue;
    cpu::data_of<float>(aux)[c] = mean[l];
    cpu::data_of<float>(aux)[view_.channels + c] = inverse[l];
  }
  return factors(params, mean, inverse, block);
}

template <class T, int W>
BnFactors CpuBatchNorm2d<T, W>::saved_factors(const BatchNormParams& params, const Tensor& aux,
                                              int64_t block) const {
  if (!batch()) return running_factors(params, block);
  const float* saved = cpu::data_of<float>(aux) + block * W;
  return factors(params, saved, saved + view_.channels, block);
}

template <class T, int W>
template <bool kResidual, bool kRelu>
void CpuBatchNorm2d<T, W>::apply(const BnFactors& f, const Tensor& x, const Tensor& residual,
                                 const Tensor& y, const Tensor& aux, int64_t block,
                                 int64_t split) const {
  each_row(block, split, [&](int64_t n, int64_t at) {
    uint16_t* bits = kResidual && kRelu ? mask_to(aux, n, block) : nullptr;
    cpu::bn_apply_row<T, W, kResidual, kRelu>(f, row(x, at), row(residual, at), row_to(y, at), bits,
                                              view_.positions, view_.stride);
  });
}

template <class T, int W>
void CpuBatchNorm2d<T, W>::forward(StreamRef, const Tensor& x, const Tensor& residual,
                                   const BatchNormParams& params, const Tensor& y,
                                   const Tensor& aux, const Tensor& workspace) {
  FT_CHECK(!spec_.add_residual || residual.spec() == spec_.x,
           "the residual of a batch-norm lies as x does");
  auto* moments = static_cast<Moments*>(workspace.data());
  two_passes(
      [&](int64_t block, int64_t split) {
        if (!batch()) return;
        Moments m;
        each_row(block, split, [&](int64_t, int64_t at) {
          cpu::bn_moments_row<T, W>(row(x, at), view_.positions, view_.stride, m);
        });
        moments[block * splits_ + split] = m;
      },
      [&](int64_t block, int64_t split) {
        const BnFactors f =
            batch() ? batch_factors(params, moments + block * splits_, aux, block, split == 0)
                    : running_factors(params, block);
        if (spec_.add_residual && spec_.relu)
          apply<true, true>(f, x, residual, y, aux, block, split);
        else if (spec_.add_residual)
          apply<true, false>(f, x, residual, y, aux, block, split);
        else if (spec_.relu)
          apply<false, true>(f, x, residual, y, aux, block, split);
        else
          apply<false, false>(f, x, residual, y, aux, block, split);
      });
}

// With M positions, g = dy behind the ReLU and 1/d the saved inverse deviation:
//   dbeta = sum g, dgamma = sum g * (x - mean) / d
//   dx = gamma / d * (g - dbeta / M - (x - mean) / d * dgamma / M); the last two terms in mode
//   batch only.
template <class T, int W>
void CpuBatchNorm2d<T, W>::take_sums(BnFactors& f, const BnSums* parts, int64_t block,
                                     const BatchNormGradients* keep) const {
  const double m = static_cast<double>(view_.n * view_.positions);
  for (int64_t l = 0; l < view_.used(block); ++l) {
    double g = 0, gx = 0;
    for (int64_t i = 0; i < splits_; ++i) {
      g += parts[i].g[l];
      gx += parts[i].gx[l];
    }
    const int64_t c = block * W + l;
    const double inverse = f.inverse[l];
    if (keep != nullptr && !keep->dbeta.empty()) keep->dbeta.as<float>()[c] = static_cast<float>(g);
    if (keep != nullptr && !keep->dgamma.empty())
      keep->dgamma.as<float>()[c] = static_cast<float>(gx * inverse);
    if (!batch()) continue;
    f.a[l] = static_cast<float>(f.scale[l] * g / m);
    f.b[l] = static_cast<float>(f.scale[l] * inverse * inverse * gx / m);
  }
}

template <class T, int W>
template <Gate kGate>
void CpuBatchNorm2d<T, W>::backward_gated(const Tensor& x, const Tensor& dy,
                                          const BatchNormParams& params, const Tensor& aux,
                                          const BatchNormGradients& to, BnSums* parts) const {
  const bool needs_sums = batch() || !to.dgamma.empty() || !to.dbeta.empty();
  two_passes(
      [&](int64_t block, int64_t split) {
        if (!needs_sums) return;
        const BnFactors f = saved_factors(params, aux, block);
        BnSums sums;
        each_row(block, split, [&](int64_t n, int64_t at) {
          cpu::bn_sums_row<T, W, kGate>(f, row(x, at), row(dy, at), mask(aux, n, block),
                                        view_.positions, view_.stride, sums);
        });
        parts[block * splits_ + split] = sums;
      },
      [&](int64_t block, int64_t split) {
        BnFactors f = saved_factors(params, aux, block);
        if (needs_sums) take_sums(f, parts + block * splits_, block, split == 0 ? &to : nullptr);
        if (to.dx.empty() && to.dresidual.empty()) return;
        each_row(block, split, [&](int64_t n, int64_t at) {
          cpu::bn_backward_row<T, W, kGate>(f, row(x, at), row(dy, at), mask(aux, n, block),
                                            row_to(to.dx, at), row_to(to.dresidual, at),
                                            view_.positions, view_.stride);
        });
      });
}

template <class T, int W>
void CpuBatchNorm2d<T, W>::backward(StreamRef, const Tensor& x, const Tensor& dy,
                                    const BatchNormParams& params, const Tensor& aux,
                                    const BatchNormGradients& gradients, const Tensor& workspace) {
  auto* sums = static_cast<BnSums*>(workspace.data());
  if (gate_ == Gate::mask) return backward_gated<Gate::mask>(x, dy, params, aux, gradients, sums);
  if (gate_ == Gate::recompute)
    return backward_gated<Gate::recompute>(x, dy, params, aux, gradients, sums);
  backward_gated<Gate::open>(x, dy, params, aux, gradients, sums);
}

}  // namespace

std::unique_ptr<BatchNorm2dPlan> CpuBackend::make_batchnorm2d(const BatchNorm2dSpec& spec) {
  require(spec.x.dtype, "batchnorm2d");
  return cpu::with_element(spec.x.dtype, [&](auto element) -> std::unique_ptr<BatchNorm2dPlan> {
    using T = decltype(element);
    switch (Lanes(spec.x).width) {
      case 16:
        return std::make_unique<CpuBatchNorm2d<T, 16>>(*this, spec);
      case 8:
        return std::make_unique<CpuBatchNorm2d<T, 8>>(*this, spec);
      default:
        return std::make_unique<CpuBatchNorm2d<T, 1>>(*this, spec);
    }
  });
}

}  // namespace ft
